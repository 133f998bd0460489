"""The rules by which Hypothesis makes interleavings. What must hold stands in `oracle`."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.proof.model.jobs import Plan, pipeline
from tests.proof.model.processes import SchedulerProcess, WorkerProcess
from tests.proof.model.world import Process, World

_MOST_PROCESSES = 2
_WHICH = st.integers(0, _MOST_PROCESSES - 1)
_READS = st.sampled_from((1, 2, 5, 1_000))
_ANY = st.integers(0, 2 * _MOST_PROCESSES - 1)
_THEN = st.sampled_from(("goes on", "goes on", "goes on", "is killed", "sleeps"))
_DELAYS = st.sampled_from(
    (timedelta(), timedelta(), timedelta(seconds=2), timedelta(seconds=65), timedelta(minutes=6))
)
_PLANS = st.sampled_from((Plan.OK, Plan.OK, *Plan))
_PAUSES = st.sampled_from((0.01, 0.3, 1.0, 2.5, 7.0, 11.0, 70.0))


class HeadraceModel(RuleBasedStateMachine):
    """Workers, schedulers and a broker; anything may happen to them at any time."""

    def __init__(self) -> None:
        super().__init__()
        self._world: World | None = None

    @property
    def world(self) -> World:
        assert self._world is not None
        return self._world

    @initialize(
        ordered=st.booleans(), width=st.sampled_from((1, 1, 2)), plans=st.lists(_PLANS, max_size=6)
    )
    def begin(self, ordered: bool, width: int, plans: list[Plan]) -> None:
        self._world = World(ordered=ordered, width=width)
        for number, plan in enumerate(plans):
            delay = timedelta(seconds=2) if number % 3 == 2 else timedelta()
            self._world.submit(plan, "brief", "ab"[number % 2], delay)

    def teardown(self) -> None:
        if self._world is None:
            return
        try:
            self._world.end()
        finally:
            self._world.surroundings.restore()

    # -- jobs and turns --------------------------------------------------------------------------

    @rule(
        plan=_PLANS,
        key=st.sampled_from(("", "a", "b")),
        kind=st.sampled_from(("brief", "slow")),
        delay=_DELAYS,
        more=st.integers(0, 3),
    )
    def submit(self, plan: Plan, key: str, kind: str, delay: timedelta, more: int) -> None:
        self.world.submit(plan, kind, key, delay)
        for _ in range(more):
            self.world.submit(Plan.OK, kind, key, delay)

    @rule(which=_WHICH, reads=_READS, ends=st.integers(0, 3), turns=st.integers(1, 3), then=_THEN)
    def work(self, which: int, reads: int, ends: int, turns: int, then: str) -> None:
        for _ in range(turns):
            worker = self._worker(which)
            if worker is not None:
                self.world.work(worker, reads=reads, ends=ends)
        self._then(self._worker(which), then)

    @rule(which=_WHICH, reads=_READS, turns=st.integers(1, 3), then=_THEN)
    def schedule(self, which: int, reads: int, turns: int, then: str) -> None:
        for _ in range(turns):
            scheduler = self._scheduler(which)
            if scheduler is not None:
                self.world.schedule(scheduler, reads=reads)
        self._then(self._scheduler(which), then)

    @rule(rounds=st.integers(1, 4), seconds=_PAUSES)
    def go_on(self, rounds: int, seconds: float) -> None:
        """Everybody takes turns, and time passes in between."""
        for _ in range(rounds):
            self.world.round(ends=1)
        self.world.clock.advance(seconds)

    @rule(which=_WHICH, at=st.integers(0, 3))
    def end_a_job(self, which: int, at: int) -> None:
        worker = self._worker(which)
        if worker is not None and worker.running:
            self.world.live(worker, lambda: worker.end_one(at))

    # -- what happens to processes ---------------------------------------------------------------

    @rule(scheduler=st.booleans())
    def start(self, scheduler: bool) -> None:
        there = len(self.world.schedulers if scheduler else self.world.workers)
        if there < _MOST_PROCESSES:
            (self.world.start_scheduler if scheduler else self.world.start_worker)()

    @rule(which=_ANY, calls=st.integers(0, 12))
    def kill_within(self, which: int, calls: int) -> None:
        """A kill between two calls of the Kafka client, soon."""
        process = self._process(which)
        if process is not None:
            process.host.fuse = calls

    @rule(which=_ANY, patient=st.booleans())
    def stop(self, which: int, patient: bool) -> None:
        process = self._process(which)
        if process is not None:
            if isinstance(process, WorkerProcess):
                process.ends_while_draining = patient
            self.world.live(process, process.leave)

    @rule(which=_ANY, mode=st.sampled_from(("fast", "unacked", "held")), late=st.booleans())
    def change_the_network(self, which: int, mode: str, late: bool) -> None:
        process = self._process(which)
        if process is not None:
            process.host.network = mode
            process.host.late_rebalance = late

    @rule(
        which=_ANY,
        fault=st.sampled_from(("refused", "unanswered", "underway", "denied")),
        times=st.integers(1, 4),
    )
    def let_transactions_fail(self, which: int, fault: str, times: int) -> None:
        process = self._process(which)
        if process is not None:
            process.host.fault, process.host.faults = fault, times

    # -- what happens to the broker --------------------------------------------------------------

    @rule(what=st.sampled_from(("", "letters", "events", "lane", "tiers", "commits")))
    def refuse(self, what: str) -> None:
        """Take no writes of a kind, or all of them again."""
        world = self.world
        topics = {
            "letters": [world.letters],
            "events": [pipeline.topology.events],
            "lane": [world.lane.topic],
            "tiers": world.tiers,
        }
        if not what:
            world.broker.refusing.clear()
        world.broker.refusing.update(topics.get(what, ()))
        world.broker.takes_commits = what != "commits"

    @rule(partition=st.integers(0, 1), holes=st.integers(1, 3))
    def append_holes(self, partition: int, holes: int) -> None:
        place = self._place(partition)
        for _ in range(holes):
            self.world.broker.append_hole(place)

    @precondition(lambda self: len(self.world.jobs) > 12)
    @rule(partition=st.integers(0, 1), before=st.integers(1, 3))
    def delete_old_records(self, partition: int, before: int) -> None:
        place = self._place(partition)
        log = self.world.broker.logs[place]
        self.world.delete(place, min(log.end, log.start + before))

    @precondition(lambda self: not self.world.broker.groups[self.world.lane.topic].members)
    @rule(partition=st.integers(0, 1))
    def wipe_metadata(self, partition: int) -> None:
        self.world.wipe_metadata(self._place(partition))

    # -- inside ----------------------------------------------------------------------------------

    def _then(self, process: Process | None, then: str) -> None:
        if process is None:
            return
        if then == "is killed":
            self.world.kill(process)
        elif then == "sleeps":
            self.world.lose_session(process)

    def _place(self, partition: int) -> tuple[str, int]:
        topic = self.world.lane.topic
        return topic, partition % self.world.broker.width(topic)

    def _worker(self, which: int) -> WorkerProcess | None:
        workers = self.world.workers
        return workers[which % len(workers)] if workers else None

    def _scheduler(self, which: int) -> SchedulerProcess | None:
        schedulers = self.world.schedulers
        return schedulers[which % len(schedulers)] if schedulers else None

    def _process(self, which: int) -> Process | None:
        processes = self.world.processes
        return processes[which % len(processes)] if processes else None
