"""Everything that a model is made of, and how it is brought to rest."""

from collections.abc import Callable
from datetime import timedelta

from headrace.pipeline.topology import TIERS, tier_for
from tests.proof.model.broker import SESSION, Broker, Place, Position
from tests.proof.model.jobs import LANES, PAYLOAD, Plan, Submitted, pipeline
from tests.proof.model.oracle import Oracle, Violation, job_of
from tests.proof.model.processes import SchedulerProcess, WorkerProcess
from tests.proof.model.surroundings import Surroundings

TURN = 0.06
"""Seconds that pass with a turn."""
_PATIENCE = 40
"""Rounds without anything new after which something is stuck. Time jumps meanwhile, and every
round lets all that can go on go on."""
_LONGEST = 3_000
"""Rounds after which something goes round in circles."""
_SHORT_JUMP, _LONG_JUMP = 3, 6
"""Rounds without anything new after which time jumps: by 5 seconds, then to what is due next."""

Process = WorkerProcess | SchedulerProcess


class World:
    """One lane, the delay tiers, dead letters, and the processes that work on them."""

    def __init__(self, *, ordered: bool, width: int) -> None:
        self.surroundings = Surroundings()
        self.clock = self.surroundings.clock
        self.lane = LANES["line" if ordered else "work"]
        topology = pipeline.topology
        self.tiers = [topology.tier(tier) for tier in TIERS]
        self.letters = topology.dead_letters(self.lane.queue)
        topics = {self.lane.topic: width, self.letters: 1, topology.events: 1}
        self.broker = Broker(self.clock, topics | dict.fromkeys(self.tiers, 1))
        self.broker.add_group(self.lane.topic, {self.lane.topic})
        self.broker.add_group(topology.scheduler_group, set(self.tiers))
        self.clock.passed = self.broker.tick
        self.jobs: dict[str, Submitted] = {}
        self.oracle = Oracle(self.broker, self.jobs)
        self.broker.watcher = self.oracle
        self.processes: list[Process] = []
        self.reported_lost = 0
        self._named = 0
        self.start_worker()
        self.start_scheduler()

    # -- processes -------------------------------------------------------------------------------

    @property
    def workers(self) -> list[WorkerProcess]:
        return [each for each in self.processes if isinstance(each, WorkerProcess)]

    @property
    def schedulers(self) -> list[SchedulerProcess]:
        return [each for each in self.processes if isinstance(each, SchedulerProcess)]

    def start_worker(self) -> None:
        self._named += 1
        name = f"worker-{self._named}"
        self._join(WorkerProcess(self.broker, name, self.lane, self.jobs, self.oracle))

    def start_scheduler(self) -> None:
        self._named += 1
        self._join(SchedulerProcess(self.broker, f"scheduler-{self._named}"))

    def _join(self, process: Process) -> None:
        self.processes.append(process)
        self.live(process, process.join)

    def live(self, process: Process, act: Callable[[], None]) -> None:
        """Let a process do something; it is buried if it dies of it."""
        process.live(act)
        if process.gone:
            self.reported_lost += process.lost_records
            self.processes.remove(process)

    def kill(self, process: Process) -> None:
        if isinstance(process, WorkerProcess):
            self.blame(process)
        process.host.die()
        self.live(process, process.host.call)  # type: ignore[arg-type]

    def lose_session(self, process: Process) -> None:
        """It sleeps for too long; it wakes with its next turn, and knows nothing of it."""
        member = process.host.consumers[0].member
        assert member is not None
        member.expires = self.clock.monotonic() + SESSION
        self.clock.advance(SESSION)

    def transaction_of(self, process: Process) -> bool:
        """Whether a transaction of this process is open."""
        mine = process.partitions.transactional_id
        return any(each.transactional_id == mine for each in self.broker.open_transactions())

    def blame(self, worker: WorkerProcess) -> None:
        """A worker dies, and not by a job: the one that runs alone may be held for the cause."""
        for record in worker.alone():
            self.jobs[record.headers.job_id].blamed += 1

    def work(self, worker: WorkerProcess, *, reads: int, ends: int) -> None:
        """Some handlers end, then the lane's thread takes a turn."""
        worker.host.reads = reads

        def act() -> None:
            for _ in range(min(ends, len(worker.running))):
                if worker.running:
                    worker.end_one(0)
            worker.lane.turn()

        self.clock.advance(TURN)
        self.live(worker, act)

    def schedule(self, scheduler: SchedulerProcess, *, reads: int) -> None:
        scheduler.host.reads = reads
        self.clock.advance(TURN)
        self.live(scheduler, scheduler.turn)

    def round(self, *, ends: int) -> None:
        """Everybody takes a turn."""
        for worker in self.workers:
            self.work(worker, reads=1_000, ends=ends)
        for scheduler in self.schedulers:
            self.schedule(scheduler, reads=1_000)

    # -- jobs ------------------------------------------------------------------------------------

    def submit(self, plan: Plan, job_type: str, key: str, delay: timedelta) -> None:
        """Submit as the producer does: to the lane, or to a delay tier."""
        number = len(self.jobs)
        job_id = f"job-{number}"
        now = self.clock.ms
        due = now + delay // timedelta(milliseconds=1) if delay else 0
        line = key.encode() or job_id.encode()
        job = Submitted(job_id, job_type, plan, self.lane, line, due)
        self.jobs[job_id] = job
        topic = pipeline.topology.tier(tier_for(due - now)) if delay else self.lane.topic
        self.broker.write(topic, line, PAYLOAD, job.headers(now).encode())

    # -- what operators and brokers do -----------------------------------------------------------

    def wipe_metadata(self, place: Place) -> None:
        """A tool sets a group's offset to where it is: the metadata is gone.

        The broker lets it only while nobody is a member.
        """
        group = self.broker.groups[self.lane.topic]
        at = group.offsets[place].offset
        log = self.broker.logs[place]
        for record in log.entries[at:]:
            if record is not None:
                self.jobs[job_of(record)[0]].forgiven = True
        self.broker.set_offset(self.lane.topic, place, at)
        self.oracle.reset(place, group.offsets[place])

    def delete(self, place: Place, before: int) -> None:
        """Retention deletes what lies before an offset."""
        log = self.broker.logs[place]
        for record in log.entries[log.start : before]:
            if record is not None and not self.oracle.is_done(record):
                self.jobs[job_of(record)[0]].deleted = True
        log.start = max(log.start, before)

    # -- rest ------------------------------------------------------------------------------------

    def heal(self) -> None:
        """End everything that holds up."""
        self.broker.refusing.clear()
        self.broker.takes_commits = True
        for process in self.processes:
            process.host.network, process.host.fault, process.host.fuse = "fast", "", None

    def drain(self) -> None:
        """Let everything come to rest: nothing may be stuck."""
        self.heal()
        idle = 0
        for _ in range(_LONGEST):
            before = self._progress()
            if not self.workers:
                self.start_worker()
            if not self.schedulers:
                self.start_scheduler()
            self.round(ends=8)
            if not self._held_up():
                return
            idle = 0 if self._progress() != before else idle + 1
            self._jump(idle)
            if idle > _PATIENCE:
                break
        raise Violation(f"stuck: {self._held_up()}")

    def end(self) -> None:
        """Come to rest, stop everything in order, and look at what is left."""
        self.drain()
        for process in list(self.processes):
            self.live(process, process.leave)
        held_up = self._held_up()
        if held_up:
            raise Violation(f"not committed after a stop in order: {held_up}")
        self.oracle.check_end(self.reported_lost)

    def _progress(self) -> tuple[int, ...]:
        ends = [log.end for log in self.broker.logs.values()]
        return (self.oracle.executions, *ends, *(at.offset for _, at in self._positions()))

    def _jump(self, idle: int) -> None:
        """Let time pass when nothing happens any more."""
        if idle == _SHORT_JUMP:
            self.clock.advance(5)
        elif idle and idle % _LONG_JUMP == 0:
            self.clock.advance(max(5.0, self._seconds_left()))

    def _seconds_left(self) -> float:
        """Seconds until the next job is due, as those who wait for it think; 0 when none is."""
        now = self.clock.ms / 1000
        moves = [each.scheduler._in_hand.next_move() for each in self.schedulers]
        left = [move / 1000 - now for move in moves if move is not None]
        held = [worker.lane.dispatch.seconds_left() for worker in self.workers]
        return min([*left, *(each for each in held if each < float("inf"))], default=0.0)

    def _positions(self) -> list[tuple[Place, Position]]:
        groups = self.broker.groups.values()
        return [(place, at) for group in groups for place, at in group.offsets.items()]

    def _held_up(self) -> str:
        behind = [
            f"{place} is committed to {at.offset} of {self.broker.logs[place].end}"
            for place, at in self._positions()
            if at.offset < self.broker.logs[place].end
        ]
        return "; ".join(behind)
