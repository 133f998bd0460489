"""How lag is exported."""

from datetime import timedelta
from typing import ClassVar, Self

from pydantic import Field, model_validator

from headrace.pipeline.durations import PositiveDuration, format_duration
from headrace.pipeline.settings.base import Settings


class ExporterSettings(Settings):
    """How `headrace exporter` looks at Kafka, and what it shows."""

    exporter_interval: PositiveDuration = Field(
        default=timedelta(seconds=15), description="How often it looks at Kafka."
    )
    exporter_stale_after: PositiveDuration = Field(
        default=timedelta(minutes=2),
        description="How old figures may become, while Kafka does not answer, before they are "
        "taken away.",
    )
    exporter_aliases: bool = Field(
        default=True,
        description="Whether lag is told under the names that other tools gave it, too "
        "(`kafka_consumergroup_lag` …).",
    )
    exporter_partitions: int = Field(
        default=1_000,
        ge=0,
        description="Partitions up to which aliases tell of each; beyond, of topics alone.",
    )

    RULES: ClassVar[tuple[str, ...]] = (
        "HEADRACE_EXPORTER_STALE_AFTER is longer than HEADRACE_EXPORTER_INTERVAL.",
    )

    @model_validator(mode="after")
    def _outlives_a_look(self) -> Self:
        if self.exporter_stale_after <= self.exporter_interval:
            raise ValueError(
                f"HEADRACE_EXPORTER_STALE_AFTER={format_duration(self.exporter_stale_after)}: "
                "figures would be taken away before the next look; set it to more than "
                f"HEADRACE_EXPORTER_INTERVAL={format_duration(self.exporter_interval)}"
            )
        return self
