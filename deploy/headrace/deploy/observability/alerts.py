"""The alerts on what workers, schedulers and projectors tell of themselves; and all alerts together.

Each wakes somebody for something that gets worse by itself, or that a person must decide. Its runbook
stands in docs/runbooks.md under its name.
"""

from datetime import timedelta
from typing import Final

from headrace.deploy.observability.alert import Alert, Severity
from headrace.deploy.observability.lag_alerts import LAG_ALERTS
from headrace.deploy.observability.queries import gauge, grew, quantile, rate, select
from headrace.pipeline.telemetry.metric_list import JobOutcome, Metric

_AT_ONCE: Final = timedelta()
_MOMENT: Final = timedelta(minutes=1)
_WHILE: Final = timedelta(minutes=5)
_WINDOW: Final = timedelta(minutes=10)
_LANE: Final = "{{ $labels.lane }}"
_PROCESS: Final = "{{ $labels.instance }}"

_GOOD: Final = 'result="ok"'
_BAD: Final = 'result="failed"'
_FAILING: Final = rate(
    Metric.JOBS,
    f'outcome=~"{JobOutcome.RETRYING}|{JobOutcome.DEAD}"',
    by=("lane",),
    step="5m",
)

DEAD_LETTERS_TOLERATED: Final = 10
"""Jobs of one type that may die for one reason in ten minutes before somebody hears of it."""
RETRY_SHARE: Final = 0.5
"""Share of all attempts that fail, from which it is a storm."""
FULL: Final = 0.75
"""Share of the commit metadata from which a partition takes no new records."""
LATE_SECONDS: Final = 5
SILENT_SECONDS: Final = 120
"""Far beyond the drain budget, during which a lane may not poll."""
PROJECTOR_SECONDS: Final = 60

_JOBS: Final = (
    Alert(
        "HeadraceDeadLetters",
        grew(
            Metric.DEAD_JOBS,
            _WINDOW,
            by=("lane", "job_type", "reason"),
            more_than=DEAD_LETTERS_TOLERATED,
        ),
        _AT_ONCE,
        Severity.TICKET,
        f"{{{{ $value | humanize }}}} jobs of {{{{ $labels.job_type }}}} on {_LANE} died in 10 minutes: "
        "{{ $labels.reason }}",
    ),
    Alert(
        "HeadraceRetryStorm",
        f"{_FAILING} / {rate(Metric.JOBS, by=('lane',), step='5m')} > {RETRY_SHARE:g} "
        f"and {_FAILING} > 1",
        _WHILE,
        Severity.PAGE,
        f"More than half of the attempts on {_LANE} fail",
    ),
    Alert(
        "HeadraceLostRecords",
        grew(Metric.LOST_RECORDS, timedelta(hours=1), by=("lane",)),
        _AT_ONCE,
        Severity.PAGE,
        f"Retention deleted {{{{ $value | humanize }}}} records of {_LANE} before they ran",
    ),
    Alert(
        "HeadraceMisplacedRecords",
        grew(Metric.MISPLACED_RECORDS, timedelta(hours=1), by=("lane",)),
        _AT_ONCE,
        Severity.TICKET,
        f"A producer puts records of the ordered lane {_LANE} on partitions where they do not belong",
    ),
    Alert(
        "HeadraceDedupForgets",
        grew(Metric.DEDUP_FORGOTTEN, timedelta(hours=1), by=("lane",)),
        _AT_ONCE,
        Severity.TICKET,
        f"{_LANE} forgets dedup_keys within their window: such jobs run again",
    ),
)

_WORKERS: Final = (
    Alert(
        "HeadraceKafkaUnreachable",
        f"{select(Metric.BROKER_UP)} == 0",
        _MOMENT,
        Severity.PAGE,
        f"{_PROCESS} gets no answer from Kafka",
    ),
    Alert(
        "HeadraceLaneStuck",
        f"{select(Metric.POLL_AGE)} > {SILENT_SECONDS}",
        _AT_ONCE,
        Severity.PAGE,
        f"The thread of {_LANE} in {_PROCESS} has not polled for {{{{ $value | humanizeDuration }}}}",
    ),
    Alert(
        "HeadraceHandOversRefused",
        f"{rate(Metric.HANDOVERS, _BAD, by=('lane',), step='5m')} > 0 "
        f"unless {rate(Metric.HANDOVERS, _GOOD, by=('lane',), step='5m')} > 0",
        _WHILE,
        Severity.PAGE,
        f"No retry and no dead letter of {_LANE} gets through: its partitions wait",
    ),
    Alert(
        "HeadraceTransitionsRefused",
        f"{rate(Metric.TRANSITIONS, _BAD, by=('instance',), step='5m')} > 0",
        _WHILE,
        Severity.PAGE,
        f"Kafka refuses the transitions of {_PROCESS}: what it has finished is not committed",
    ),
    Alert(
        "HeadraceCommitMetadataFull",
        f"max by (lane) ({select(Metric.COMMIT_METADATA)}) >= {FULL:g}",
        _WHILE,
        Severity.TICKET,
        f"A partition of {_LANE} takes no new records: too many jobs ended behind one that runs on",
    ),
    Alert(
        "HeadraceWorkersDie",
        grew(Metric.OWNER_DEATHS, timedelta(minutes=30), by=("lane",), more_than=2),
        _AT_ONCE,
        Severity.PAGE,
        f"Workers of {_LANE} die again and again while jobs run",
    ),
    Alert(
        "HeadraceChildProcessesDie",
        grew(Metric.PROCESS_DEATHS, timedelta(minutes=30), by=("instance",), more_than=2),
        _AT_ONCE,
        Severity.TICKET,
        f"Child processes of {_PROCESS} die with the jobs in them",
    ),
    Alert(
        "HeadraceThreadsLost",
        grew(Metric.LOST_THREADS, timedelta(minutes=30), by=("instance",)),
        _AT_ONCE,
        Severity.TICKET,
        f"Jobs in {_PROCESS} are over their time and do not give their threads back",
    ),
    Alert(
        "HeadraceOrdersUnread",
        f"{select(Metric.ORDERS_READABLE)} == 0",
        _WHILE,
        Severity.TICKET,
        f"{_PROCESS} cannot read the control topic: cancelled jobs may run",
    ),
    Alert(
        "HeadraceHeartbeatsRefused",
        f"{rate(Metric.HEARTBEATS, _BAD, by=('instance',), step='5m')} > 0 "
        f"unless {rate(Metric.HEARTBEATS, _GOOD, by=('instance',), step='5m')} > 0",
        _WHILE,
        Severity.TICKET,
        f"Kafka refuses the heartbeats of {_PROCESS}: it looks dead, and is not",
    ),
)

_SCHEDULERS: Final = (
    Alert(
        "HeadraceNoScheduler",
        f"absent({select(Metric.SCHEDULER_PARTITIONS)}) "
        f"or {gauge(Metric.SCHEDULER_PARTITIONS)} == 0",
        _WHILE,
        Severity.PAGE,
        "No scheduler moves what is due: retries, delayed jobs and schedules stand still",
    ),
    Alert(
        "HeadraceReleasesLate",
        f"{quantile(0.99, Metric.LATENESS, step='5m')} > {LATE_SECONDS}",
        _WHILE,
        Severity.TICKET,
        "Due jobs reach their lanes {{ $value | humanizeDuration }} late",
    ),
    Alert(
        "HeadraceSchedulerStuck",
        f"{select(Metric.SCHEDULER_POLL_AGE)} > {SILENT_SECONDS}",
        _AT_ONCE,
        Severity.PAGE,
        f"The scheduler in {_PROCESS} has not polled for {{{{ $value | humanizeDuration }}}}",
    ),
    Alert(
        "HeadraceSchedulesFail",
        f"max({select(Metric.SCHEDULES_FAILING)}) > 0",
        _WHILE,
        Severity.TICKET,
        "{{ $value | humanize }} schedules cannot fire as they are",
    ),
    Alert(
        "HeadraceScheduleMisfires",
        grew(Metric.SCHEDULE_MISFIRES, timedelta(hours=1), by=("schedule",)),
        _AT_ONCE,
        Severity.TICKET,
        "{{ $labels.schedule }} did not fire {{ $value | humanize }} times within the hour",
    ),
)

_PROJECTORS: Final = (
    Alert(
        "HeadraceProjectorSilent",
        f"{select(Metric.PROJECTOR_SILENCE)} > {PROJECTOR_SECONDS}",
        _MOMENT,
        Severity.TICKET,
        f"The projector in {_PROCESS} writes nothing: the query store falls behind",
    ),
)

GROUPS: Final = (
    ("waiting", LAG_ALERTS),
    ("jobs", _JOBS),
    ("workers", _WORKERS),
    ("schedulers", _SCHEDULERS),
    ("projectors", _PROJECTORS),
)
ALERTS: Final = tuple(alert for _, alerts in GROUPS for alert in alerts)
