"""What can be chosen at the top of boards."""

from typing import Final

from headrace.deploy.observability.board import Variable
from headrace.pipeline.telemetry.metric_list import Metric

_LANES: Final = f"label_values({Metric.ASSIGNED_PARTITIONS.name}, lane)"
PIPELINE: Final = Variable("pipeline", "Pipeline", _LANES, r"/^([^.]+)\./")
LANE: Final = Variable("lane", "Lane", _LANES)
WORKER: Final = Variable(
    "worker", "Worker", f'label_values({Metric.BUILD_INFO.name}{{role="worker"}}, instance)'
)
