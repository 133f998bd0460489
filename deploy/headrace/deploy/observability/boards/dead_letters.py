"""Dead letters: how many come, of which type, and why."""

from typing import Final

from headrace.deploy.observability.board import Board, Panel, Query, Unit
from headrace.deploy.observability.boards import choices, waiting
from headrace.deploy.observability.queries import OF_PIPELINE, rate, select, total
from headrace.pipeline.telemetry.metric_list import Metric

_DAY: Final = "increase({series}[24h])"


def _in_a_day(*by: str) -> str:
    return total(_DAY.format(series=select(Metric.DEAD_JOBS, OF_PIPELINE)), *by)


_TODAY: Final = Panel(
    "Dead in 24 hours",
    "Jobs that will not be tried again by themselves.",
    Unit.COUNT,
    (Query(_in_a_day(), "dead"),),
    number=True,
    columns=6,
)
_WORST: Final = Panel(
    "Most of them",
    "The job type and the reason that most of them share.",
    Unit.COUNT,
    (Query(f"topk(1, {_in_a_day('job_type', 'reason')})", "{{job_type}}: {{reason}}"),),
    number=True,
    columns=12,
)
_BY_REASON: Final = Panel(
    "Why they died",
    "`exhausted`: failed in every attempt. `crash-loop`: killed its process. `undecodable` and "
    "`unknown-type`: a sender and the workers disagree.",
    Unit.PER_SECOND,
    (Query(rate(Metric.DEAD_JOBS, OF_PIPELINE, by=("reason",)), "{{reason}}"),),
    stacked=True,
)
_BY_TYPE: Final = Panel(
    "Which jobs died",
    "By job type.",
    Unit.PER_SECOND,
    (Query(rate(Metric.DEAD_JOBS, OF_PIPELINE, by=("job_type",)), "{{job_type}}"),),
    stacked=True,
)
_BY_LANE: Final = Panel(
    "From which lanes",
    "Hand-overs to the dead-letter topics. Failed ones wait in their lane and are tried again.",
    Unit.PER_SECOND,
    (
        Query(
            rate(Metric.HANDOVERS, OF_PIPELINE, 'kind="dead"', by=("lane", "result")),
            "{{lane}} {{result}}",
        ),
    ),
)
_OF_SCHEDULERS: Final = Panel(
    "Out of the delay tiers",
    "Records in a delay tier that no lane of the pipeline takes.",
    Unit.PER_SECOND,
    (Query(rate(Metric.SCHEDULER_DEAD_LETTERS), "dead"),),
)

DEAD_LETTERS: Final = Board(
    "dead-letters",
    "Headrace: dead letters",
    "What dies, since when and why? `headrace dlq stats` groups them by their errors, `headrace dlq "
    "replay` repairs.",
    (choices.PIPELINE,),
    (
        ("Today", (_TODAY, _WORST)),
        ("All of them", (waiting.LETTERS_KEPT, waiting.LETTERS_IN, waiting.LETTERS_BY_STATE)),
        ("What comes in", (_BY_REASON, _BY_TYPE, _BY_LANE, _OF_SCHEDULERS)),
    ),
)
