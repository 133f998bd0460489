"""What is counted of the jobs, and how often it is told."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from headrace.pipeline.durations import PositiveDuration
from headrace.pipeline.settings.base import CommaList, Settings


class StatisticsSettings(Settings):
    """How `headrace processors statistics` counts, and where streams keep their files."""

    stats_tenants: CommaList = Field(
        default=(),
        description="Tenants that are counted by themselves, comma-separated; all others are "
        "counted together.",
    )
    stats_interval: PositiveDuration = Field(
        default=timedelta(seconds=2), description="How often statistics are published."
    )
    stats_dir: Path = Field(
        default=Path(".headrace/streams"),
        description="The folder where Faust keeps its files. Nothing is lost with it.",
    )
