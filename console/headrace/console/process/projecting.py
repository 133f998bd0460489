"""A projector as a part of a process, with its health."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException

from headrace.consumers.figures import MemberFigures
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import StoreSettings, load
from headrace.pipeline.telemetry.health import CheckResult
from headrace.pipeline.telemetry.metric_list import Metric
from headrace.processors.projector.projector import Projector

if TYPE_CHECKING:
    from headrace.console.process.role import RoleProcess

_SILENT: Final = timedelta(seconds=30)
_ANSWER: Final = 2.0


class ProjectorService:
    """A projector that shows how it is."""

    def __init__(self, process: "RoleProcess") -> None:
        self._projector = Projector(process.pipeline, process.kafka, load(StoreSettings))
        self._admin = make_admin(process.kafka)
        process.health.add("store", self._writes)
        process.metrics.register_collector(
            Metric.PROJECTED_ROWS, lambda: {(): self._projector.written}
        )
        process.metrics.register_collector(Metric.PROJECTOR_SILENCE, self._silence)

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        return self._projector.run()

    def stop(self, *, at_once: bool = False) -> None:
        """Write what was read, and end."""
        self._projector.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """It is a member of no group."""
        return {}

    def assigned(self) -> bool:
        """Whether it has written, or stands by for another one that writes."""
        return self._projector.last_write > 0

    def broker_answers(self) -> bool:
        """Whether Kafka answers now."""
        try:
            self._admin.list_topics(timeout=_ANSWER)
        except KafkaException:
            return False
        return True

    def _silence(self) -> Mapping[tuple[str, ...], float]:
        if not self._projector.last_write:
            return {}
        return {(): self._projector.silent_for().total_seconds()}

    def _writes(self) -> CheckResult:
        silent = self._projector.silent_for()
        ok = not self._projector.last_write or silent < _SILENT
        detail = "" if ok else f"nothing was written for {silent.total_seconds():.0f} s"
        return CheckResult(ok=ok, detail=detail)
