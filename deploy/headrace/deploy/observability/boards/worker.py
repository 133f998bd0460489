"""One worker process: its slots, its memory, its threads."""

from typing import Final

from headrace.deploy.observability.board import Board, Panel, Query, Unit
from headrace.deploy.observability.boards import choices
from headrace.deploy.observability.queries import STEP, gauge, rate, select, total
from headrace.pipeline.telemetry.metric_list import Metric

_OF_IT: Final = 'instance="$worker"'

_SLOTS: Final = Panel(
    "Slots",
    "Taken and all, by pool.",
    Unit.COUNT,
    (
        Query(gauge(Metric.SLOTS_USED, _OF_IT, by=("pool",)), "{{pool}}: taken"),
        Query(gauge(Metric.SLOTS, _OF_IT, by=("pool",)), "{{pool}}: all"),
    ),
)
_OUTCOMES: Final = Panel(
    "What becomes of its jobs",
    "By outcome. Fenced ones finished after their partition had gone to another worker.",
    Unit.PER_SECOND,
    (Query(rate(Metric.JOBS, _OF_IT, by=("outcome",)), "{{outcome}}"),),
    stacked=True,
)
_MEMORY: Final = Panel(
    "Memory",
    "Of the process, and of it the records that wait to be started.",
    Unit.BYTES,
    (
        Query(f"process_resident_memory_bytes{{{_OF_IT}}}", "process"),
        Query(gauge(Metric.BUFFERED_BYTES, _OF_IT), "records in memory"),
    ),
)
_CPU: Final = Panel(
    "CPU",
    "Seconds in a second: 1 is one core. Handlers in threads share one core.",
    Unit.COUNT,
    (Query(f"rate(process_cpu_seconds_total{{{_OF_IT}}}[{STEP}])", "cores"),),
)
_POLLS: Final = Panel(
    "Since the last poll",
    "Of each lane's thread. Over seconds, beyond the drain budget: it is stuck.",
    Unit.SECONDS,
    (Query(select(Metric.POLL_AGE, _OF_IT), "{{lane}}"),),
)
_COMMITS: Final = Panel(
    "Commits and heartbeats",
    "Failed ones are tried again; for long, Kafka refuses them.",
    Unit.PER_SECOND,
    (
        Query(rate(Metric.COMMITS, _OF_IT, by=("result",)), "commits {{result}}"),
        Query(rate(Metric.HEARTBEATS, _OF_IT, by=("result",)), "heartbeats {{result}}"),
    ),
)
_LOSSES: Final = Panel(
    "What it lost",
    "Threads that a job over its time still holds, and child processes that died with a job.",
    Unit.COUNT,
    (
        Query(total(select(Metric.LOST_THREADS, _OF_IT)), "threads"),
        Query(total(select(Metric.PROCESS_DEATHS, _OF_IT)), "child processes"),
    ),
)
_PARTITIONS: Final = Panel(
    "Its partitions",
    "By lane.",
    Unit.COUNT,
    (Query(gauge(Metric.ASSIGNED_PARTITIONS, _OF_IT, by=("lane",)), "{{lane}}"),),
    stacked=True,
)

WORKER: Final = Board(
    "worker",
    "Headrace: worker",
    "What does this process do, and does it hold out?",
    (choices.WORKER,),
    (
        ("Jobs", (_SLOTS, _OUTCOMES)),
        ("The process", (_MEMORY, _CPU, _LOSSES)),
        ("Kafka", (_PARTITIONS, _POLLS, _COMMITS)),
    ),
)
