"""What a worker's threads count, as metrics and as figures for the log.

Lanes count in plain numbers of their own; these are read when somebody asks, so a job pays nothing.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.consumers.heart import Heart
from headrace.consumers.lane import LaneThread
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.worker import Worker
from headrace.pipeline.queues import Pool
from headrace.pipeline.telemetry.metric_list import JobOutcome, Metric
from headrace.pipeline.telemetry.metrics import LabelValues, Metrics
from headrace.pipeline.telemetry.series import Histogram
from headrace.pipeline.telemetry.system_metrics import Figures
from headrace.pipeline.topology import TIERS
from headrace.schemas.states import JobState

_UNKNOWN: Final = "unknown"
"""The job type of records that name one this worker does not know, and of fenced ones."""
_OUTCOMES: Final = {
    JobState.SUCCEEDED.value: JobOutcome.SUCCEEDED,
    JobState.RETRYING.value: JobOutcome.RETRYING,
    JobState.DEAD.value: JobOutcome.DEAD,
    JobState.DELAYED.value: JobOutcome.POSTPONED,
    JobState.CANCELLED.value: JobOutcome.CANCELLED,
    JobState.EXPIRED.value: JobOutcome.EXPIRED,
    JobState.DUPLICATE.value: JobOutcome.DUPLICATE,
}
_FAILED: Final = (JobState.RETRYING.value, JobState.DEAD.value)


def register(metrics: Metrics, worker: Worker) -> None:
    """Show the worker's lanes and slots in the metrics of its process."""
    lanes = tuple(worker.lanes.values())
    known = frozenset(worker.pipeline.job_types)
    worker.submitter.metrics = metrics
    metrics.register_collector(Metric.JOBS, lambda: _jobs(lanes, known))
    metrics.register_collector(Metric.COMMITS, lambda: _commits(lanes))
    metrics.register_collector(Metric.REBALANCES, lambda: _rebalances(lanes))
    metrics.register_collector(Metric.HANDOVERS, lambda: _handovers(lanes))
    metrics.register_collector(Metric.RETRIES, lambda: _retries(worker, lanes))
    metrics.register_collector(Metric.POLL_AGE, lambda: _poll_ages(lanes))
    metrics.register_collector(Metric.DEAD_JOBS, lambda: _dead(lanes, known))
    metrics.register_collector(Metric.RETRIES_PUT_OFF, lambda: _put_off(lanes))
    metrics.register_collector(Metric.TRANSITIONS, lambda: _transitions(lanes))
    metrics.register_collector(Metric.LOST_THREADS, lambda: {(): worker.lost_threads_ever})
    metrics.register_collector(Metric.HEARTBEATS, lambda: beats_of(worker.heart))
    orders = worker.orders
    metrics.register_collector(Metric.ORDERS, lambda: {(): len(orders.orders)})
    metrics.register_collector(Metric.ORDERS_READABLE, lambda: {(): float(orders.is_well)})
    deaths = Metric.PROCESS_DEATHS
    metrics.register_collector(deaths, lambda: {(): sum(_deaths(lane) for lane in lanes)})
    metrics.register_histograms(Metric.JOB_DURATION, lambda: _durations(lanes, known))
    metrics.register_histograms(
        Metric.JOB_WAIT, lambda: {(_topic(lane),): lane.figures.waits for lane in lanes}
    )
    metrics.register_histograms(
        Metric.HANDOVER_DURATION,
        lambda: {(_topic(lane),): lane.figures.handover_durations for lane in lanes},
    )
    of_lane: Mapping[object, Callable[[LaneThread], float]] = {
        Metric.JOBS_IN_FLIGHT: lambda lane: lane.buffer.running,
        Metric.BUFFERED_RECORDS: lambda lane: lane.waiting,
        Metric.BUFFERED_BYTES: lambda lane: lane.bytes,
        Metric.DEDUP_NOTES: lambda lane: lane.dedup.notes if lane.dedup else 0,
        Metric.DEDUP_FORGOTTEN: lambda lane: lane.dedup.forgotten if lane.dedup else 0,
        Metric.DEDUP_WAITING: lambda lane: lane.dedup.waiting if lane.dedup else 0,
        Metric.ASSIGNED_PARTITIONS: lambda lane: len(lane.partitions.owned),
        Metric.LOST_RECORDS: lambda lane: lane.partitions.lost_records,
        Metric.OWNER_DEATHS: lambda lane: lane.partitions.dead_owners,
        Metric.GATED_RECORDS: lambda lane: lane.dispatch.gated,
        Metric.SUSPECTS: lambda lane: lane.dispatch.suspects,
        Metric.ON_PROBATION: lambda lane: sum(
            map(_on_probation, list(lane.partitions.owned.values()))
        ),
        Metric.PARKED_KEYS: lambda lane: lane.figures.parked,
        Metric.MISPLACED_RECORDS: lambda lane: lane.figures.misplaced,
        Metric.LEDGER_SPAN: lambda lane: _widest(lane, lambda owned: owned.ledger.span),
        Metric.COMMIT_METADATA: lambda lane: _widest(lane, lambda own: own.ledger.metadata_use),
    }
    for spec, read in of_lane.items():
        metrics.register_collector(spec, _each_lane(lanes, read))  # type: ignore[arg-type]
    metrics.register_collector(Metric.SLOTS, lambda: _slots(worker, lambda slots: slots[0]))
    metrics.register_collector(Metric.SLOTS_USED, lambda: _slots(worker, lambda slots: slots[1]))


class WorkerTotals:
    """A worker's figures since its start, for the log line of each interval."""

    def __init__(self, worker: Worker, clock: Callable[[], float] = time.monotonic) -> None:
        self._worker = worker
        self._clock = clock
        self._began = clock()

    @property
    def in_flight(self) -> int:
        """Jobs that hold a slot now."""
        return self._worker.shared.used + self._worker.processes.used

    @property
    def uptime(self) -> timedelta:
        """Time since this object was made."""
        return timedelta(seconds=self._clock() - self._began)

    def total(self) -> Figures:
        """Give the figures since the start."""
        lanes = tuple(self._worker.lanes.values())
        states: dict[str, int] = defaultdict(int)
        for lane in lanes:
            for (_, state), count in lane.figures.outcomes.copy().items():
                states[state] += count
        succeeded = states[JobState.SUCCEEDED.value]
        failed = sum(states[state] for state in _FAILED)
        run = sum(lane.figures.seconds for lane in lanes)
        slots = sum(count for count, _ in _pools(self._worker).values())
        return Figures(
            processed=succeeded + failed,
            succeeded=succeeded,
            failed=failed,
            run_seconds=run,
            busy_seconds=run + self._running_seconds(),
            slot_seconds=self.uptime.total_seconds() * slots,
        )

    def _running_seconds(self) -> float:
        now = now_ms()
        begun = [
            started
            for lane in self._worker.lanes.values()
            for _, started in lane.buffer.started.copy().values()
        ]
        return sum(max(0, now - started) for started in begun) / 1000


def _jobs(lanes: Iterable[LaneThread], known: frozenset[str]) -> Mapping[LabelValues, float]:
    values: dict[LabelValues, float] = defaultdict(float)
    for lane in lanes:
        topic = lane.rules.lane.topic
        for (job_type, state), count in lane.figures.outcomes.copy().items():
            shown = job_type if job_type in known else _UNKNOWN
            values[topic, shown, _OUTCOMES[state].value] += count
        if lane.figures.fenced:
            values[topic, _UNKNOWN, JobOutcome.FENCED.value] += lane.figures.fenced
    return values


def _commits(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    values: dict[LabelValues, float] = {}
    for lane in lanes:
        topic, figures = lane.rules.lane.topic, lane.figures
        values[topic, "ok"] = figures.commits
        values[topic, "failed"] = figures.commit_failures
    return values


def _rebalances(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    values: dict[LabelValues, float] = {}
    for lane in lanes:
        topic, figures = lane.rules.lane.topic, lane.figures
        values[topic, "assigned"] = figures.assigned
        values[topic, "revoked"] = figures.revoked
        values[topic, "lost"] = figures.lost_partitions
    return values


def _handovers(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    values: dict[LabelValues, float] = defaultdict(float)
    for lane in lanes:
        ends = (("ok", lane.figures.handovers), ("failed", lane.figures.handover_failures))
        for end, counts in ends:
            for (kind, _), count in counts.copy().items():
                values[_topic(lane), kind, end] += count
    return values


def _retries(worker: Worker, lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    tiers = {worker.pipeline.topology.tier(tier): tier.name for tier in TIERS}
    return {
        (_topic(lane), tiers[topic]): count
        for lane in lanes
        for (kind, topic), count in lane.figures.handovers.copy().items()
        if kind == "retry"
    }


def _on_probation(owned: OwnedPartition) -> bool:
    standing = owned.standing
    return bool(standing.streak) and owned.ledger.commit_point < standing.suspects_until


def beats_of(heart: Heart) -> Mapping[LabelValues, float]:
    """Give what became of a process's heartbeats, as metrics have it."""
    return {("ok",): heart.sent, ("failed",): heart.refusals}


def _dead(lanes: Iterable[LaneThread], known: frozenset[str]) -> Mapping[LabelValues, float]:
    values: dict[LabelValues, float] = defaultdict(float)
    for lane in lanes:
        for (job_type, reason), count in lane.figures.dead.copy().items():
            values[_topic(lane), job_type if job_type in known else _UNKNOWN, reason] += count
    return values


def _transitions(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    logs = [lane.transitions for lane in lanes if lane.transitions is not None]
    return {
        ("ok",): sum(log.published for log in logs),
        ("failed",): sum(log.failures for log in logs),
    }


def _put_off(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    return {
        (_topic(lane), job_type): count
        for lane in lanes
        for job_type, count in lane.rules.budgets.put_off.copy().items()
    }


def _durations(
    lanes: Iterable[LaneThread], known: frozenset[str]
) -> Mapping[LabelValues, Histogram]:
    return {
        (_topic(lane), job_type if job_type in known else _UNKNOWN): histogram
        for lane in lanes
        for job_type, histogram in lane.figures.durations.copy().items()
    }


def _deaths(lane: LaneThread) -> int:
    return lane.figures.process_deaths


def _topic(lane: LaneThread) -> str:
    return lane.rules.lane.topic


def _poll_ages(lanes: Iterable[LaneThread]) -> Mapping[LabelValues, float]:
    now = time.monotonic()
    return {
        (lane.rules.lane.topic,): now - lane.figures.last_poll
        for lane in lanes
        if lane.figures.last_poll
    }


def _each_lane(
    lanes: Iterable[LaneThread], read: Callable[[LaneThread], float]
) -> Callable[[], Mapping[LabelValues, float]]:
    return lambda: {(lane.rules.lane.topic,): read(lane) for lane in lanes}


def _widest(lane: LaneThread, read: Callable[[OwnedPartition], float]) -> float:
    """The largest of a lane's partitions, read while their own thread works on them."""
    values = [0.0]
    for owned in list(lane.partitions.owned.values()):
        try:
            values.append(read(owned))
        except RuntimeError:  # its ledger changed under the look: the next scrape tells
            continue
    return max(values)


def _pools(worker: Worker) -> Mapping[Pool, tuple[int, int]]:
    """Slots and slots in use of the pools that the worker's lanes need."""
    return {pool: (each.count, each.used) for pool, each in worker.pools.items()}


def _slots(worker: Worker, part: Callable[[tuple[int, int]], int]) -> Mapping[LabelValues, float]:
    return {(pool.value,): part(slots) for pool, slots in _pools(worker).items()}
