"""The closed list of metrics. `docs/reference/metrics.md` is generated from it.

Rules, held by a test: names begin with `headrace_` and end in their base unit; `_total` is for
counters alone; no label can take a value per job, key or tenant.
"""

from enum import StrEnum
from typing import Final

from headrace.pipeline.telemetry.labels import LANE, RESULT, TIER
from headrace.pipeline.telemetry.lag_metrics import LAG_METRICS
from headrace.pipeline.telemetry.metric_specs import (
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    Label,
    MetricSpec,
)
from headrace.pipeline.telemetry.scaler_metrics import SCALER_METRICS
from headrace.schemas.states import DeadReason


class JobOutcome(StrEnum):
    """How the handling of one record of a lane ended."""

    SUCCEEDED = "succeeded"
    RETRYING = "retrying"
    DEAD = "dead"
    SNOOZED = "snoozed"
    POSTPONED = "postponed"
    """Sent back to wait, uncounted: not due yet, or a job type that this worker does not know."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    FENCED = "fenced"
    """Finished here after the partition had gone to another worker: not committed."""


JOB_TYPE: Final = Label(
    "job_type", "A declared job type; `unknown` for any other, so that senders cannot add series."
)
OUTCOME: Final = Label("outcome", "How it ended.", tuple(JobOutcome))
REASON: Final = Label("reason", "Why a job is dead.", tuple(DeadReason))
POOL: Final = Label(
    "pool",
    "Where jobs run: `default` is the event loop and the threads, which share their slots.",
    ("default", "process"),
)
CHANGE: Final = Label("kind", "What happened to partitions.", ("assigned", "revoked", "lost"))
HANDOVER: Final = Label("kind", "Where the job went.", ("retry", "dead", "wait"))
DROPPED_AS: Final = Label("outcome", "How it ended.", (JobOutcome.CANCELLED, JobOutcome.EXPIRED))
SCHEDULE: Final = Label("schedule", "A schedule, declared in code or added by an operator.")
SOURCE: Final = Label("metric", "A metric of this list.")
BUILD: Final = (
    Label("version", "Headrace's version."),
    Label("python", "Python's version."),
    Label("role", "What the process is: worker, scheduler …"),
)

RUN_BUCKETS: Final = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
"""50 ms to 30 min is what jobs usually take; the smaller ones show what no-op jobs cost."""
WAIT_BUCKETS: Final = (
    *(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
    *(15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0),
)
LATENESS_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
HANDOVER_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metric:
    """Every metric that a process of Headrace exposes."""

    # Jobs
    JOBS: Final = CounterSpec(
        "headrace_jobs_total", "Records of lanes handled, by outcome.", (LANE, JOB_TYPE, OUTCOME)
    )
    DEAD_JOBS: Final = CounterSpec(
        "headrace_dead_jobs_total",
        "Jobs handed to a dead-letter topic, by reason.",
        (LANE, JOB_TYPE, REASON),
    )
    JOB_DURATION: Final = HistogramSpec(
        "headrace_job_duration_seconds",
        "How long attempts ran, failed ones included.",
        (LANE, JOB_TYPE),
        "seconds",
        RUN_BUCKETS,
    )
    JOB_WAIT: Final = HistogramSpec(
        "headrace_job_wait_seconds",
        "From the moment a job was due on its lane to its start.",
        (LANE,),
        "seconds",
        WAIT_BUCKETS,
    )
    RETRIES_PUT_OFF: Final = CounterSpec(
        "headrace_retries_put_off_total",
        "Retries that wait longer than their policy says, because their type's budget was used up.",
        (LANE, JOB_TYPE),
    )
    RETRIES: Final = CounterSpec(
        "headrace_retries_total",
        "Failed jobs sent to wait for their next attempt, by the delay tier that they entered. "
        "Those of ordered queues wait in place and are not in it.",
        (LANE, TIER),
    )
    JOBS_IN_FLIGHT: Final = GaugeSpec(
        "headrace_jobs_in_flight", "Attempts running now.", (LANE,), "jobs"
    )

    # Slots and executors
    SLOTS: Final = GaugeSpec("headrace_slots", "Jobs that may run at a time.", (POOL,), "slots")
    SLOTS_USED: Final = GaugeSpec("headrace_slots_used", "Slots taken now.", (POOL,), "slots")
    LOST_THREADS: Final = CounterSpec(
        "headrace_lost_threads_total",
        "Threads written off because a job over its time still holds them.",
    )
    PROCESS_DEATHS: Final = CounterSpec(
        "headrace_process_deaths_total",
        "Child processes that died or were killed while running a job.",
    )

    # Lanes
    ASSIGNED_PARTITIONS: Final = GaugeSpec(
        "headrace_assigned_partitions", "Partitions this process owns.", (LANE,), "partitions"
    )
    BUFFERED_RECORDS: Final = GaugeSpec(
        "headrace_buffered_records",
        "Records in memory that wait to be started, for whatever reason.",
        (LANE,),
        "records",
    )
    BUFFERED_BYTES: Final = GaugeSpec(
        "headrace_buffered_bytes",
        "Bytes of the records in memory that wait to be started.",
        (LANE,),
        "bytes",
    )
    LEDGER_SPAN: Final = GaugeSpec(
        "headrace_ledger_span",
        "Offsets between the commit point and the highest one read: the lane's widest partition.",
        (LANE,),
        "offsets",
    )
    COMMIT_METADATA: Final = GaugeSpec(
        "headrace_commit_metadata_ratio",
        "Share of the broker's limit for commit metadata in use: the lane's fullest partition. "
        "From 0.75 on it takes no new records.",
        (LANE,),
        "ratio",
    )
    COMMITS: Final = CounterSpec("headrace_commits_total", "Offset commits.", (LANE, RESULT))
    REBALANCES: Final = CounterSpec(
        "headrace_rebalances_total", "Changes of the partitions owned.", (LANE, CHANGE)
    )
    POLL_AGE: Final = GaugeSpec(
        "headrace_poll_age_seconds",
        "Time since the lane's consumer was last polled. Over a few seconds its thread is stuck.",
        (LANE,),
        "seconds",
    )
    LOST_RECORDS: Final = CounterSpec(
        "headrace_lost_records_total",
        "Records that retention deleted before they ran. Anything but 0 is an incident.",
        (LANE,),
    )

    OWNER_DEATHS: Final = CounterSpec(
        "headrace_owner_deaths_total",
        "Partitions taken over whose owner had died while its jobs ran.",
        (LANE,),
    )
    GATED_RECORDS: Final = GaugeSpec(
        "headrace_gated_records",
        "Records in memory that wait for a commit before they may start. Thousands for long: "
        "commits do not get through.",
        (LANE,),
        "records",
    )
    SUSPECTS: Final = GaugeSpec(
        "headrace_suspects",
        "Jobs that run one at a time, each in a process of its own, or wait for that: processes "
        "have died with them, or beside them.",
        (LANE,),
        "jobs",
    )
    ON_PROBATION: Final = GaugeSpec(
        "headrace_partitions_on_probation",
        "Partitions whose last owner died while its jobs ran, until those jobs are done: a second "
        "death isolates them.",
        (LANE,),
        "partitions",
    )
    PARKED_KEYS: Final = GaugeSpec(
        "headrace_parked_keys",
        "Keys of an ordered queue whose head waits in place for its retry.",
        (LANE,),
        "keys",
    )
    MISPLACED_RECORDS: Final = CounterSpec(
        "headrace_misplaced_records_total",
        "Records of an ordered queue on another partition than their key belongs to: a producer "
        "partitions otherwise, and their key has no order.",
        (LANE,),
    )

    # Dedup window
    DEDUP_NOTES: Final = GaugeSpec(
        "headrace_dedup_notes",
        "Jobs with a `dedup_key` remembered for the dedup window.",
        (LANE,),
        "notes",
    )
    DEDUP_FORGOTTEN: Final = CounterSpec(
        "headrace_dedup_forgotten_total",
        "Notes forgotten within the window because memory was short: these jobs run again when "
        "they are submitted again. Raise HEADRACE_WORKER_DEDUP_BYTES, or shorten the window.",
        (LANE,),
    )
    DEDUP_WAITING: Final = GaugeSpec(
        "headrace_dedup_waiting_records",
        "Records in memory with a `dedup_key` that wait until their partition's notes are read. "
        "For more than seconds: the dedup topic cannot be read.",
        (LANE,),
        "records",
    )

    # Orders
    ORDERS: Final = GaugeSpec(
        "headrace_orders",
        "Orders to cancel or supersede jobs that a worker keeps in memory.",
        (),
        "orders",
    )
    ORDERS_READABLE: Final = GaugeSpec(
        "headrace_orders_readable",
        "1 while a worker reads the control topic. At 0 new orders to cancel or supersede are not "
        "seen, and such jobs may run.",
        (),
        "0 or 1",
    )

    # Hand-overs and transitions
    HANDOVERS: Final = CounterSpec(
        "headrace_handovers_total",
        "Jobs handed from a lane to a delay tier or dead-letter topic.",
        (LANE, HANDOVER, RESULT),
    )
    HANDOVER_DURATION: Final = HistogramSpec(
        "headrace_handover_duration_seconds",
        "How long the transactions of hand-overs took; one carries many jobs.",
        (LANE,),
        "seconds",
        HANDOVER_BUCKETS,
    )
    TRANSITIONS: Final = CounterSpec(
        "headrace_transitions_total", "Transitions published on the events topic.", (RESULT,)
    )

    # Scheduler
    SCHEDULER_PARTITIONS: Final = GaugeSpec(
        "headrace_scheduler_partitions",
        "Partitions of delay tiers that this process owns.",
        (),
        "partitions",
    )
    SCHEDULER_REBALANCES: Final = CounterSpec(
        "headrace_scheduler_rebalances_total",
        "Changes of the partitions of delay tiers owned.",
        (CHANGE,),
    )
    SCHEDULER_POLL_AGE: Final = GaugeSpec(
        "headrace_scheduler_poll_age_seconds",
        "Time since the delay tiers were last polled. Over a few seconds the scheduler is stuck.",
        (),
        "seconds",
    )
    SCHEDULER_HANDOVER_DURATION: Final = HistogramSpec(
        "headrace_scheduler_handover_duration_seconds",
        "How long the transactions took that move records from tier to tier; one carries many.",
        (),
        "seconds",
        HANDOVER_BUCKETS,
    )
    SCHEDULER_DEAD_LETTERS: Final = CounterSpec(
        "headrace_scheduler_dead_letters_total",
        "Records of delay tiers that became dead letters: no lane of the pipeline takes them.",
    )
    HELD_RECORDS: Final = GaugeSpec(
        "headrace_scheduler_held_records", "Records in memory until due.", (), "records"
    )
    HELD_BYTES: Final = GaugeSpec(
        "headrace_scheduler_held_bytes", "Bytes of the records in memory until due.", (), "bytes"
    )
    RELEASED: Final = CounterSpec(
        "headrace_scheduler_released_total", "Due records released to their lane.", (LANE,)
    )
    HOPPED: Final = CounterSpec(
        "headrace_scheduler_hopped_total",
        "Records moved on from a delay tier to a shorter one.",
        (TIER,),
    )
    SPILLED: Final = CounterSpec(
        "headrace_scheduler_spilled_total",
        "Records put back from memory to a delay tier because memory or the span ran short.",
    )
    DROPPED: Final = CounterSpec(
        "headrace_scheduler_dropped_total",
        "Records dropped while they waited: their jobs were cancelled, superseded or expired.",
        (DROPPED_AS,),
    )
    LATENESS: Final = HistogramSpec(
        "headrace_scheduler_lateness_seconds",
        "From the due time to the release. Releases are never early.",
        (),
        "seconds",
        LATENESS_BUCKETS,
    )

    # Schedules
    SCHEDULES: Final = GaugeSpec(
        "headrace_schedules", "Schedules that this process is in charge of.", (), "schedules"
    )
    SCHEDULES_FAILING: Final = GaugeSpec(
        "headrace_schedules_failing",
        "Schedules that cannot fire as they are; the log says why. Anything but 0 wants a look.",
        (),
        "schedules",
    )
    SCHEDULE_FIRES: Final = CounterSpec(
        "headrace_schedule_fires_total", "Jobs that fires of schedules submitted.", (SCHEDULE,)
    )
    SCHEDULE_MISFIRES: Final = CounterSpec(
        "headrace_schedule_misfires_total",
        "Fires dropped because no scheduler was there in time and the misfire policy says so.",
        (SCHEDULE,),
    )
    SCHEDULE_OVERLAPS: Final = CounterSpec(
        "headrace_schedule_overlaps_total",
        "Fires that met an unfinished job of the fire before, by the overlap policy skipped, or "
        "that cancelled it.",
        (SCHEDULE,),
    )
    SCHEDULE_LATENESS: Final = HistogramSpec(
        "headrace_schedule_lateness_seconds",
        "From a fire's due time until Kafka has its job. Fires are never early.",
        (),
        "seconds",
        LATENESS_BUCKETS,
    )

    # Producer
    SUBMITTED: Final = CounterSpec(
        "headrace_submitted_total",
        "Jobs acknowledged by the broker; delayed ones count for the lane they will reach.",
        (LANE, JOB_TYPE),
    )
    DELIVERY_FAILURES: Final = CounterSpec(
        "headrace_delivery_failures_total",
        "Jobs that no broker acknowledged within the delivery timeout.",
        (LANE,),
    )
    QUEUE_FULL_WAITS: Final = CounterSpec(
        "headrace_producer_queue_full_total", "Times `submit` waited for the full local queue."
    )

    # Projector
    PROJECTED_ROWS: Final = CounterSpec(
        "headrace_projector_rows_total", "Rows written to the query store."
    )
    PROJECTOR_SILENCE: Final = GaugeSpec(
        "headrace_projector_silence_seconds",
        "Time since the projector last wrote, looked in vain for something to write, or stood by "
        "for another one. Over half a minute: it cannot reach Kafka or the store.",
        (),
        "seconds",
    )

    # Process
    HEARTBEATS: Final = CounterSpec(
        "headrace_heartbeats_total",
        "Heartbeats sent to the workers topic. Failures alone do no harm to jobs, but others take "
        "the process for dead.",
        (RESULT,),
    )
    BROKER_UP: Final = GaugeSpec(
        "headrace_broker_up", "1 while Kafka answers, else 0.", (), "0 or 1"
    )
    BUILD_INFO: Final = GaugeSpec("headrace_build_info", "Always 1; its labels tell.", BUILD, "1")
    SOURCE_FAILURES: Final = CounterSpec(
        "headrace_metric_source_failures_total",
        "Times a metric could not be read; its series are missing from that answer.",
        (SOURCE,),
    )


ALL_METRICS: Final[tuple[MetricSpec, ...]] = (
    *(spec for spec in vars(Metric).values() if isinstance(spec, MetricSpec)),
    *LAG_METRICS,
    *SCALER_METRICS,
)
