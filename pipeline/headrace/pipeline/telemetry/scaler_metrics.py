"""The metrics of `headrace scaler`: a part of the closed list."""

from typing import Final

from headrace.pipeline.telemetry.labels import LANE
from headrace.pipeline.telemetry.lag_metrics import LOOK
from headrace.pipeline.telemetry.metric_specs import CounterSpec, GaugeSpec, Label, MetricSpec

CALL: Final = Label(
    "call", "What KEDA asked.", ("IsActive", "StreamIsActive", "GetMetricSpec", "GetMetrics")
)
CODE: Final = Label(
    "code",
    "How it was answered: in gRPC's words. `UNAVAILABLE` while Kafka does not answer, "
    "`INVALID_ARGUMENT` when a trigger's metadata is wrong.",
    ("OK", "INVALID_ARGUMENT", "UNAVAILABLE"),
)
CHANGED: Final = Label(
    "change",
    "What was changed in Kubernetes: a pod's deletion cost, or scaling in paused or released.",
    ("cost", "pause", "release"),
)
TAKEN: Final = Label("result", "Whether Kubernetes took it.", ("ok", "failed"))


class ScalerMetric:
    """What a scaler exposes."""

    ANSWERS: Final = CounterSpec(
        "headrace_scaler_answers_total", "Calls of KEDA that were answered.", (CALL, CODE)
    )
    STREAMS: Final = GaugeSpec(
        "headrace_scaler_streams",
        "Streams on which KEDA waits to be told that a lane has work: one for each ScaledObject.",
        (),
        "streams",
    )
    READY_JOBS: Final = GaugeSpec(
        "headrace_scaler_ready_jobs",
        "Jobs that are due and not started, as scaling sees them; missing while it cannot be known.",
        (LANE,),
        "jobs",
    )
    FIGURES_AGE: Final = GaugeSpec(
        "headrace_scaler_figures_age_seconds",
        "How old the scaler's figures are.",
        (),
        "seconds",
    )
    LOOKS: Final = CounterSpec("headrace_scaler_looks_total", "Looks at Kafka.", (LOOK,))
    CHANGES: Final = CounterSpec(
        "headrace_scaler_changes_total",
        "Changes of pods and ScaledObjects that Kubernetes was asked for.",
        (CHANGED, TAKEN),
    )


SCALER_METRICS: Final[tuple[MetricSpec, ...]] = tuple(
    spec for spec in vars(ScalerMetric).values() if isinstance(spec, MetricSpec)
)
