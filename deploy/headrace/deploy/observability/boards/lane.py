"""One lane: what its jobs do, and what its ledgers look like."""

from typing import Final

from headrace.deploy.observability.board import Board, Panel, Query, Unit
from headrace.deploy.observability.boards import choices, waiting
from headrace.deploy.observability.queries import OF_LANE, gauge, quantile, rate, select, total
from headrace.pipeline.telemetry.metric_list import Metric

_BY_TYPE: Final = Panel(
    "Jobs by type and outcome",
    "Records handled in a second. The type that grows or fails is the one to look at.",
    Unit.PER_SECOND,
    (Query(rate(Metric.JOBS, OF_LANE, by=("job_type", "outcome")), "{{job_type}} {{outcome}}"),),
    stacked=True,
)
_RUNS: Final = Panel(
    "How long attempts run, by type",
    "p50 and p99. One type alone: its handler. All: what they share, or the machine.",
    Unit.SECONDS,
    (
        Query(quantile(0.5, Metric.JOB_DURATION, OF_LANE, by=("job_type",)), "{{job_type}} p50"),
        Query(quantile(0.99, Metric.JOB_DURATION, OF_LANE, by=("job_type",)), "{{job_type}} p99"),
    ),
)
_WAITS: Final = Panel(
    "How long jobs wait",
    "From being due on the lane to the start.",
    Unit.SECONDS,
    tuple(
        Query(quantile(share, Metric.JOB_WAIT, OF_LANE), f"p{share * 100:g}")
        for share in (0.5, 0.9, 0.99)
    ),
)
_SUBMITTED: Final = Panel(
    "Submitted and handled",
    "Jobs that producers sent, where producers are scraped, and records that workers handled. The "
    "distance is what the backlog grows by.",
    Unit.PER_SECOND,
    (
        Query(rate(Metric.SUBMITTED, OF_LANE), "submitted"),
        Query(rate(Metric.JOBS, OF_LANE), "handled"),
    ),
)
_RUNNING: Final = Panel(
    "Running and waiting in memory",
    "Attempts that run, and records that workers have read and not started, whatever for.",
    Unit.COUNT,
    (
        Query(gauge(Metric.JOBS_IN_FLIGHT, OF_LANE), "running"),
        Query(gauge(Metric.BUFFERED_RECORDS, OF_LANE), "in memory"),
        Query(gauge(Metric.GATED_RECORDS, OF_LANE), "for a commit"),
        Query(gauge(Metric.DEDUP_WAITING, OF_LANE), "for notes of the dedup window"),
        Query(gauge(Metric.PARKED_KEYS, OF_LANE), "keys parked"),
    ),
)
_RETRIES: Final = Panel(
    "Retries, by delay tier",
    "Failed jobs sent to wait. Long tiers: back-off has grown, the trouble lasts.",
    Unit.PER_SECOND,
    (Query(rate(Metric.RETRIES, OF_LANE, by=("tier",)), "{{tier}}"),),
    stacked=True,
)
_HANDOVERS: Final = Panel(
    "Hand-overs",
    "Jobs handed to delay tiers and dead letters. Failed ones are tried again; for long, something "
    "refuses them.",
    Unit.PER_SECOND,
    (Query(rate(Metric.HANDOVERS, OF_LANE, by=("kind", "result")), "{{kind}} {{result}}"),),
)
_HANDOVER_TIME: Final = Panel(
    "How long hand-overs take (p99)",
    "One transaction carries many jobs; usually some 20 ms.",
    Unit.SECONDS,
    (Query(quantile(0.99, Metric.HANDOVER_DURATION, OF_LANE), "p99"),),
)
_LEDGER: Final = Panel(
    "Ledger span",
    "Offsets between the commit point and the highest one read, of each worker's widest partition. "
    "It grows behind a job that runs long.",
    Unit.COUNT,
    (Query(f"max by (instance) ({select(Metric.LEDGER_SPAN, OF_LANE)})", "{{instance}}"),),
)
_METADATA: Final = Panel(
    "Commit metadata in use",
    "Share of what the broker allows. From 75 % on the partition takes no new records.",
    Unit.SHARE,
    (Query(f"max by (instance) ({select(Metric.COMMIT_METADATA, OF_LANE)})", "{{instance}}"),),
)
_PARTITIONS: Final = Panel(
    "Partitions of each worker",
    "Together they are all the lane has. Fewer: somebody died a moment ago, or nobody serves some.",
    Unit.COUNT,
    (Query(total(select(Metric.ASSIGNED_PARTITIONS, OF_LANE), "instance"), "{{instance}}"),),
    stacked=True,
)
_TROUBLE: Final = Panel(
    "Crashes and suspects",
    "Partitions on probation after their owner's death, and jobs that run isolated.",
    Unit.COUNT,
    (
        Query(gauge(Metric.ON_PROBATION, OF_LANE), "partitions on probation"),
        Query(gauge(Metric.SUSPECTS, OF_LANE), "suspects"),
    ),
)

LANE: Final = Board(
    "lane",
    "Headrace: lane",
    "What does this lane do, and what holds it up?",
    (choices.LANE,),
    (
        ("What waits", waiting.OF_THE_LANE),
        ("Jobs", (_BY_TYPE, _RUNS, _WAITS, _SUBMITTED)),
        ("Retries and hand-overs", (_RETRIES, _HANDOVERS, _HANDOVER_TIME, _RUNNING)),
        ("Partitions and ledgers", (_PARTITIONS, _TROUBLE, _LEDGER, _METADATA)),
    ),
)
