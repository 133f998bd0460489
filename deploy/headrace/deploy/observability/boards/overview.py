"""The pipeline on one time axis: what waits, who works, what becomes of jobs."""

from typing import Final

from headrace.deploy.observability.board import Board, Panel, Query, Unit
from headrace.deploy.observability.boards import choices, waiting
from headrace.deploy.observability.queries import (
    OF_PIPELINE,
    gauge,
    quantile,
    rate,
    select,
    total,
)
from headrace.pipeline.telemetry.metric_list import JobOutcome, Metric

_FAILED: Final = f'outcome=~"{JobOutcome.RETRYING}|{JobOutcome.DEAD}"'

_OUTCOMES: Final = Panel(
    "What becomes of jobs",
    "Records of lanes handled in a second, by outcome. Dead and retrying beside succeeded.",
    Unit.PER_SECOND,
    (Query(rate(Metric.JOBS, OF_PIPELINE, by=("outcome",)), "{{outcome}}"),),
    stacked=True,
)
_FAILURES: Final = Panel(
    "Share of attempts that fail",
    "By lane. One lane alone: its handlers, or what they call. All lanes: something they share.",
    Unit.SHARE,
    (
        Query(
            f"{rate(Metric.JOBS, OF_PIPELINE, _FAILED, by=('lane',))} / "
            f"{rate(Metric.JOBS, OF_PIPELINE, by=('lane',))}",
            "{{lane}}",
        ),
    ),
)
_WAITS: Final = Panel(
    "How long jobs wait (p99)",
    "From being due on the lane to the start. What users notice first.",
    Unit.SECONDS,
    (Query(quantile(0.99, Metric.JOB_WAIT, OF_PIPELINE, by=("lane",)), "{{lane}}"),),
)
_RUNS: Final = Panel(
    "How long attempts run (p99)",
    "A step upwards with the same rate: what the handlers call became slow.",
    Unit.SECONDS,
    (Query(quantile(0.99, Metric.JOB_DURATION, OF_PIPELINE, by=("lane",)), "{{lane}}"),),
)
_WORKERS: Final = Panel(
    "Workers of each lane",
    "Processes that own a partition of the lane: what autoscaling made of the backlog.",
    Unit.COUNT,
    (
        Query(
            total(f"{select(Metric.ASSIGNED_PARTITIONS, OF_PIPELINE)} > bool 0", "lane"),
            "{{lane}}",
        ),
    ),
)
_SLOTS: Final = Panel(
    "Slots in use",
    "Slots taken and slots there are. All taken while jobs wait: more workers help, if what the "
    "handlers call bears it.",
    Unit.COUNT,
    (
        Query(gauge(Metric.SLOTS_USED, by=("pool",)), "{{pool}}: taken"),
        Query(gauge(Metric.SLOTS, by=("pool",)), "{{pool}}: all"),
    ),
)
_REBALANCES: Final = Panel(
    "Rebalances",
    "Partitions that changed hands in a second. Regular peaks: workers that die or are scaled up and "
    "down again and again. Lost ones were taken from a process that had fallen silent.",
    Unit.PER_SECOND,
    (Query(rate(Metric.REBALANCES, OF_PIPELINE, by=("lane", "kind")), "{{lane}} {{kind}}"),),
)
_CRASHES: Final = Panel(
    "Deaths",
    "Partitions whose owner had died while jobs ran, and child processes that died with a job.",
    Unit.PER_SECOND,
    (
        Query(rate(Metric.OWNER_DEATHS, OF_PIPELINE, by=("lane",)), "{{lane}}: owners"),
        Query(rate(Metric.PROCESS_DEATHS), "child processes"),
    ),
)
_DELAYS: Final = Panel(
    "Held until due",
    "Records in the schedulers' memory, which are released to the millisecond.",
    Unit.COUNT,
    (Query(gauge(Metric.HELD_RECORDS), "held"),),
)
_LATENESS: Final = Panel(
    "Lateness of releases",
    "From the due time to the release on the lane. Seconds: schedulers are short of time or Kafka "
    "is slow.",
    Unit.SECONDS,
    (
        Query(quantile(0.5, Metric.LATENESS), "p50"),
        Query(quantile(0.99, Metric.LATENESS), "p99"),
    ),
)

OVERVIEW: Final = Board(
    "overview",
    "Headrace: pipeline",
    "Is the pipeline well, and if not, since when and where? All panels share one time axis.",
    (choices.PIPELINE,),
    (
        ("What waits", (waiting.READY, waiting.OLDEST, waiting.LAG, waiting.VERDICTS)),
        ("What becomes of jobs", (_OUTCOMES, _FAILURES)),
        ("How long it takes", (_WAITS, _RUNS)),
        ("Who works", (_WORKERS, _SLOTS, _REBALANCES, _CRASHES)),
        ("What waits until due", (_DELAYS, _LATENESS)),
    ),
)
