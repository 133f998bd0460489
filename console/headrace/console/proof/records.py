"""What a proof run writes down: one frozen record for each kind of line in the run folder.

The formats stand in `run_folder`. These types are all that the runner and the checker share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

CALM: Final = "calm"
"""The scenario without faults: the only one that may end without any."""

Place = tuple[str, int]
"""A topic and a partition."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What the whole run was.

    Attributes:
        run: The run's id.
        seed: What every random choice was drawn from.
        pipeline: The pipeline's name: its topics begin with it.
        scenario: Which kinds of faults were made.
        minutes: How long faults were made and jobs submitted.
        bootstrap: The broker's address.
        versions: Versions by name: headrace, kafka, confluent-kafka, python …
        machine: What it ran on: cpus, memory, system …
        session_timeout_seconds: After which silence the broker gives a worker's partitions away.
        group_protocol: How consumers form groups: `consumer` (KIP-848) or `classic`.
        concurrency: Jobs that one worker runs at once.
        ordered: The lanes (topics) of queues that were declared `ordered`.
    """

    run: str
    seed: int
    pipeline: str
    scenario: str
    minutes: float
    bootstrap: str
    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    session_timeout_seconds: float
    concurrency: int
    ordered: tuple[str, ...] = ()
    group_protocol: str = "consumer"


class Submission(NamedTuple):
    """One job that was handed to the producer."""

    job_id: str
    job_type: str
    lane: str
    """The topic of its lane, wherever its first record went."""
    key: str
    """The ordering key; empty when none was given."""
    seq: int
    """0, 1, 2 … per lane and key in order of submission; -1 without a key."""
    due: int
    """Not to start before this, in epoch milliseconds; 0 when at once."""
    plan: str
    """What the handler does, as JSON."""
    partition: int
    offset: int
    """Where its first record lies: on its lane, or on a delay tier when it has a due time."""


class What(StrEnum):
    """What a handler tells of an execution."""

    START = "start"
    """Its very first statement."""
    DONE = "done"
    """Right before it returns."""
    RAISE = "raise"
    """Right before it fails, or while it is cancelled."""
    SNOOZE = "snooze"
    """Right before it raises `Snooze`: the same attempt starts again later, as another step."""


class ExecutionEvent(NamedTuple):
    """One line of an execution log, written by the handler itself."""

    at_ns: int
    """By the wall clock: nanoseconds since the Unix epoch."""
    what: What
    job_id: str
    attempt: int
    pid: int
    """Of the process that runs the handler."""
    lane: str
    key: str
    seq: int
    due: int
    monotonic_ns: int
    worker: int
    """The pid of the worker process that it belongs to: `pid`, or its parent."""


class Kind(StrEnum):
    """A kind of fault."""

    KILL = "kill"
    STOP_CONT = "stop-cont"
    KILL_GROUP = "kill-group"
    KILL_SCHEDULER = "kill-scheduler"
    BROKER_KILL = "broker-kill"
    NETWORK_CUT = "network-cut"
    NETWORK_SLOW = "network-slow"
    REBALANCE_STORM = "rebalance-storm"
    DLQ_FULL = "dlq-full"
    SEVERAL = "several"

    @property
    def kills_workers(self) -> bool:
        """Whether it must find jobs in flight to count as a fault."""
        return self in {Kind.KILL, Kind.KILL_GROUP}


class Committed(NamedTuple):
    """What a group had committed for one partition."""

    offset: int
    """-1 when nothing was."""
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        number: 1, 2, 3 … in order.
        kind: What was done.
        began_ns: Wall clock before anything was done.
        ended_ns: Wall clock when everything was as before: the process is gone, or goes on; the
            broker answers again.
        workers: Pids of the worker processes that may start jobs again because of it: killed,
            stopped, cut off or told to leave. All of them when the broker was away.
        in_flight: Executions that had begun and not ended when it hit.
        committed: What was committed on the lanes (and tiers, if asked) when it hit: for a kill,
            while the worker was stopped already, so that it is exact.
        snapshot_ns: Wall clock when `committed` had been answered; 0 when at `ended_ns` or before.
        note: What else there is to say.
        first_job_after_ms: From the kill, the stop, the cut, the clean leave or the assignment of
            a worker that joined, to the first job on one of the partitions that changed hands;
            None when none did.
        last_partition_after_ms: The same to the moment when each of them that had a job waiting
            had begun one.
        woken_ns: Wall clock right before a worker that was stopped was told to go on; 0 for others.
    """

    number: int
    kind: Kind
    began_ns: int
    ended_ns: int
    workers: tuple[int, ...] = ()
    in_flight: int = 0
    committed: Mapping[Place, Committed] = field(default_factory=dict)
    snapshot_ns: int = 0
    note: str = ""
    first_job_after_ms: int | None = None
    last_partition_after_ms: int | None = None
    woken_ns: int = 0


@dataclass(frozen=True, slots=True)
class WorkerEvent:
    """One thing that a worker process did.

    Attributes:
        at_ns: Wall clock.
        event: `started`, `assigned` or `ended`.
        pid: Of the worker process.
        lanes: Which lanes it serves or was assigned.
        exit: Its exit code, or the signal as a negative number; None while it runs.
    """

    at_ns: int
    event: str
    pid: int
    lanes: tuple[str, ...] = ()
    exit: int | None = None
