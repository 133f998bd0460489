"""An exporter as a part of a process, with its health."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.consumers.figures import MemberFigures
from headrace.pipeline.settings import ExporterSettings, load
from headrace.pipeline.telemetry.health import CheckResult
from headrace.processors.lag.exporter import LagExporter

if TYPE_CHECKING:
    from headrace.console.process.role import RoleProcess


class ExporterService:
    """An exporter that shows how it is."""

    def __init__(self, process: "RoleProcess") -> None:
        settings = load(ExporterSettings)
        self._exporter = LagExporter(process.pipeline, process.kafka, settings, process.metrics)
        process.health.add("lag", self._is_fresh)

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        return self._exporter.run()

    def stop(self, *, at_once: bool = False) -> None:
        """End after the look that is going on."""
        self._exporter.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """It is a member of no group."""
        return {}

    def assigned(self) -> bool:
        """Whether it has looked once."""
        return self._exporter.age is not None

    def broker_answers(self) -> bool:
        """Whether Kafka answered the last look."""
        return not self._exporter.trouble

    def _is_fresh(self) -> CheckResult:
        age = self._exporter.age
        old = "" if age is None else f"the figures are {age.total_seconds():.0f} s old: "
        stale = self._exporter.is_stale
        return CheckResult(ok=not stale, detail=f"{old}{self._exporter.trouble}" if stale else "")
