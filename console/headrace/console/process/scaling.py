"""A scaler, and what it does about pods, as parts of a process, with their health."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.consumers.figures import MemberFigures
from headrace.pipeline.settings import ScalerSettings
from headrace.pipeline.settings.scaler import LONGEST_START
from headrace.pipeline.telemetry.health import CheckResult
from headrace.processors.lag.ready import ReadyReader
from headrace.processors.scale_in.cluster_api import ClusterApi
from headrace.processors.scale_in.controller import ScaleIn
from headrace.processors.scaler.server import ScalerServer
from headrace.processors.scaler.servicing import ScalerServicer
from headrace.processors.scaler.watching import BacklogWatch

if TYPE_CHECKING:
    from headrace.console.process.role import RoleProcess


class ScalerService:
    """A scaler that shows how it is."""

    def __init__(self, process: "RoleProcess", settings: ScalerSettings) -> None:
        pipeline, metrics = process.pipeline, process.metrics
        reader = ReadyReader(pipeline, process.kafka, LONGEST_START)
        self._watch = BacklogWatch(reader, settings, metrics)
        servicer = ScalerServicer(pipeline, self._watch, settings.scaler_start_time, metrics)
        self._server = ScalerServer(settings, self._watch, servicer)
        process.health.add("backlog", self._is_known)

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        return self._server.run()

    def stop(self, *, at_once: bool = False) -> None:
        """End the streams in order, and go."""
        self._server.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """It is a member of no group."""
        return {}

    def assigned(self) -> bool:
        """Whether it listens, and has looked once."""
        return self._server.port is not None and self._watch.age is not None

    def broker_answers(self) -> bool:
        """Whether Kafka answered the last look."""
        return not self._watch.trouble

    def _is_known(self) -> CheckResult:
        return CheckResult(ok=not self._watch.trouble, detail=self._watch.trouble)


class ScaleInService:
    """What tells Kubernetes what scaling in would cost. It may fail for hours, and no job waits."""

    def __init__(self, process: "RoleProcess", settings: ScalerSettings) -> None:
        api, interval = ClusterApi.of(settings), settings.scaler_scale_in_interval
        self._controller = ScaleIn(process.pipeline, process.kafka, api, interval, process.metrics)

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        return self._controller.run()

    def stop(self, *, at_once: bool = False) -> None:
        """End after the round that goes on."""
        self._controller.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """It is a member of no group."""
        return {}

    def assigned(self) -> bool:
        """It waits for nothing."""
        return True

    def broker_answers(self) -> bool:
        """It leaves this to the scaler beside it."""
        return True
