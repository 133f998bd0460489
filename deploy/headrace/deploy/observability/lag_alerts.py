"""The alerts on what the exporter measures: what waits, for how long, and whether it moves."""

from datetime import timedelta
from typing import Final

from headrace.deploy.observability.alert import Alert, Severity
from headrace.deploy.observability.queries import select
from headrace.pipeline.telemetry.lag_metrics import LagMetric

OBJECTIVE_SECONDS: Final = 300
"""How long the oldest ready job of a lane may have waited."""
RETENTION_SHARE: Final = 0.7
TIER_LATE_SECONDS: Final = 30
MANY: Final = 100
"""Ready jobs below which a backlog that grows is nobody's concern."""
STALE_SECONDS: Final = 120
_MOMENT: Final = timedelta(minutes=2)
_WHILE: Final = timedelta(minutes=5)
_LONG: Final = timedelta(minutes=15)
_LANE: Final = "{{ $labels.lane }}"
_TOPIC: Final = "{{ $labels.topic }}"
_ILL: Final = 'verdict=~"stalled|stopped|rewound|lost offset"'

LAG_ALERTS: Final = (
    Alert(
        "HeadraceJobsWaitTooLong",
        f"{select(LagMetric.OLDEST_AGE)} > {OBJECTIVE_SECONDS}",
        _MOMENT,
        Severity.PAGE,
        f"The oldest ready job of {_LANE} has waited {{{{ $value | humanizeDuration }}}}",
    ),
    Alert(
        "HeadraceLaneStandsStill",
        f"{select(LagMetric.VERDICTS, _ILL)} == 1",
        _MOMENT,
        Severity.PAGE,
        f"{_TOPIC} does not move: {{{{ $labels.verdict }}}}",
    ),
    Alert(
        "HeadraceBacklogGrows",
        f"{select(LagMetric.CLOSES_IN)} == Inf and {select(LagMetric.READY_JOBS)} > {MANY}",
        _LONG,
        Severity.TICKET,
        f"For 15 minutes more jobs have come to {_LANE} than were finished",
    ),
    Alert(
        "HeadraceRetentionNear",
        f"{select(LagMetric.RETENTION_USED)} > {RETENTION_SHARE:g}",
        _WHILE,
        Severity.PAGE,
        f"What waits on {_TOPIC} has used {{{{ $value | humanizePercentage }}}} of its time to live",
    ),
    Alert(
        "HeadraceDueNotMoved",
        f"{select(LagMetric.TIER_LATE)} > {TIER_LATE_SECONDS}",
        _MOMENT,
        Severity.PAGE,
        "Due jobs lie in the delay tier {{ $labels.tier }}, {{ $value | humanizeDuration }} late",
    ),
    Alert(
        "HeadraceGroupUnsettled",
        f"{select(LagMetric.SETTLED)} == 0",
        _MOMENT,
        Severity.TICKET,
        "Members of {{ $labels.group }} have been joining and leaving for minutes",
    ),
    Alert(
        "HeadraceLagUnknown",
        f"absent({select(LagMetric.FIGURES_AGE)}) or {select(LagMetric.FIGURES_AGE)} > {STALE_SECONDS}",
        _WHILE,
        Severity.TICKET,
        "No exporter tells what waits, or its figures are old: the alerts on it cannot ring",
    ),
)
