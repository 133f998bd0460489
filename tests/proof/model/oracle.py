"""What must hold, told from what lies on the topics and from what was run; nothing of the engine's
own figures is believed.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import CommitMetadata
from headrace.consumers.outcomes import Attempted, Succeeded
from headrace.consumers.records import Assignment, JobRecord
from headrace.schemas import headers
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch
from tests.proof.model.broker import Broker, Group, Place, Position, Record
from tests.proof.model.jobs import Submitted, pipeline
from tests.proof.model.processes import WorkerProcess

_TOPOLOGY = pipeline.topology
_LETTERS = {_TOPOLOGY.dead_letters(queue) for queue in pipeline.queues}
_LANES = {lane.topic for lane in _TOPOLOGY.lanes()}
_WITHOUT_HAND_OVER = {JobState.SUCCEEDED, JobState.EXPIRED, JobState.DUPLICATE}


class Violation(AssertionError):
    """The engine broke a promise."""


@dataclass(frozen=True, slots=True)
class Start:
    """One call of a handler."""

    place: Place
    offset: int
    attempt: int
    step: int
    worker: WorkerProcess
    assignment: Assignment


def covered(position: Position, end: int) -> set[int]:
    """The offsets that a commit says to be done."""
    found = commit_metadata.decode(position.metadata, position.offset, end)
    finished = found.finished if isinstance(found, CommitMetadata) else ()
    return {*range(position.offset), *(at for run in finished for at in run)}


def job_of(record: Record) -> tuple[str, int]:
    """The job's id and step, as the record's headers have them."""
    found = dict(record.headers)
    return (found[headers.ID] or b"").decode(), int(found.get(headers.STEP) or 0)


def _due_of(record: Record) -> int:
    return int(dict(record.headers).get(headers.DUE) or 0)


class Oracle:
    """Checks every step as it happens."""

    def __init__(self, broker: Broker, jobs: dict[str, Submitted]) -> None:
        self._broker = broker
        self._jobs = jobs
        self.told: dict[tuple[Place, int], str] = {}
        """The final outcome that is stored for a record of a lane."""
        self.finals: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
        """Every final outcome of each job that is stored."""
        self._moved: dict[str, list[Record]] = defaultdict(list)
        """Where each job's records lie, as committed readers see them."""
        self._starts: dict[str, list[Start]] = defaultdict(list)
        self._done: dict[Place, set[int]] = {}
        self._decided: set[tuple[Assignment, int]] = set()
        self.reexecuted = 0
        self.executions = 0

    # -- what becomes durable --------------------------------------------------------------------

    def stored(self, record: Record) -> None:
        if record.place[0] == _TOPOLOGY.events:
            for transition in decode_batch(record.value or b""):
                self._tell(transition)
            return
        job_id, step = job_of(record)
        job = self._jobs[job_id]
        if record.place[0] in _LANES and _due_of(record) > record.timestamp:
            raise Violation(f"{job} was released {_due_of(record) - record.timestamp} ms early")
        if record.place[0] not in _LANES and not job.forgiven:
            alike = [each for each in self._moved[job_id] if each.place[0] not in _LANES]
            if any(job_of(each)[1] == step for each in alike):
                raise Violation(f"{job} was handed over twice at step {step}, to {record.place[0]}")
        self._moved[job_id].append(record)

    def _tell(self, told: Transition) -> None:
        state = JobState(told.state)
        if not state.is_final:
            return
        self.told[(told.lane, told.partition), told.offset] = told.state
        if state is not JobState.DUPLICATE:
            self.finals[told.job_id].add((told.state, told.reason))

    def committed(self, group: Group, place: Place, position: Position, by: str) -> None:
        end = self._broker.logs[place].end
        if isinstance(
            commit_metadata.decode(position.metadata, position.offset, end), CommitMetadata
        ):
            done = covered(position, end)
        else:
            raise Violation(f"{by} committed metadata of {place} that nobody can read")
        before = self._done.get(place, set())
        for record in self._records(place):
            if record.offset in before and record.offset not in done:
                raise Violation(f"a commit by {by} takes {place}/{record.offset} back: {position}")
            if record.offset in done and record.offset not in before:
                self._check_done(record, by)
        self._done[place] = done

    def reset(self, place: Place, position: Position) -> None:
        """A tool changed what is committed."""
        self._done[place] = covered(position, self._broker.logs[place].end)

    def _check_done(self, record: Record, by: str) -> None:
        if not self.is_done(record):
            job_id, step = job_of(record)
            raise Violation(
                f"a commit by {by} covers {record.place}/{record.offset}, which has no outcome: "
                f"{self._jobs[job_id]} at step {step}"
            )

    def is_done(self, record: Record) -> bool:
        """Whether what became of a record is stored."""
        state = self.told.get((record.place, record.offset))
        if state is not None and JobState(state) in _WITHOUT_HAND_OVER:
            return True
        job_id, step = job_of(record)
        return any(
            job_of(each)[1] > step and each is not record and self._follows(record, each)
            for each in self._moved[job_id]
        )

    def _follows(self, record: Record, later: Record) -> bool:
        if record.place[0] in _LANES:
            return later.place[0] not in _LANES
        return True

    def _records(self, place: Place) -> Iterator[Record]:
        log = self._broker.logs[place]
        for offset in range(log.start, log.end):
            record = log.entries[offset]
            if record is not None and record.visible:
                yield record

    # -- what is run -----------------------------------------------------------------------------

    def started(self, worker: WorkerProcess, record: JobRecord) -> None:
        job = self._jobs[record.headers.job_id]
        place = (record.assignment.topic, record.partition)
        attempt, step = record.headers.attempt, record.headers.step
        start = Start(place, record.offset, attempt, step, worker, record.assignment)
        self.executions += 1
        if not worker.owns(record):
            raise Violation(f"{job} was started by {worker.host.name}, which had lost it")
        self._check_due(job, record)
        if not job.forgiven:
            self._check_attempts(job, start)
            self._check_again(job, start)
        if worker.lane.rules.ordered:
            self._check_order(job, start)
        self._starts[job.job_id].append(start)

    def ended(self, worker: WorkerProcess, record: JobRecord, attempted: Attempted) -> None:
        self._jobs[record.headers.job_id].decided(
            record.headers, attempted.outcome, attempted.ended
        )
        if isinstance(attempted.outcome, Succeeded):
            self._decided.add((record.assignment, record.offset))

    def _check_due(self, job: Submitted, record: JobRecord) -> None:
        now = self._broker.clock.ms
        earliest = max(
            record.headers.due or 0, job.due if job.forgiven else job.earliest(record.headers)
        )
        if now < earliest:
            raise Violation(f"{job} was started {earliest - now} ms early")

    def _check_attempts(self, job: Submitted, start: Start) -> None:
        highest = max((each.attempt for each in self._starts[job.job_id]), default=1)
        if start.attempt < highest:
            raise Violation(f"{job} went back from attempt {highest} to {start.attempt}")

    def _check_again(self, job: Submitted, start: Start) -> None:
        same_step = [each for each in self._starts[job.job_id] if each.step == start.step]
        self.reexecuted += bool(same_step)
        for each in same_step:
            if each.assignment is start.assignment and each.offset == start.offset:
                raise Violation(f"{job} was started twice by {start.worker.host.name}")
            if (each.place, each.offset) != (start.place, start.offset) and not job.deleted:
                raise Violation(f"{job} was released twice and run twice")
        position = self._broker.groups[start.place[0]].offsets[start.place]
        end = self._broker.logs[start.place].end
        if start.offset in covered(position, end):
            raise Violation(f"{job} was started although {start.place}/{start.offset} is committed")

    def _check_order(self, job: Submitted, start: Start) -> None:
        position = self._broker.groups[start.place[0]].offsets[start.place]
        done = covered(position, self._broker.logs[start.place].end)
        for record in self._records(start.place):
            before = self._jobs[job_of(record)[0]]
            if record.offset >= start.offset or before.key != job.key or before.forgiven:
                continue
            known = (start.assignment, record.offset) in self._decided
            if not (known or record.offset in done or self.is_done(record)):
                raise Violation(
                    f"{job} was started before {before}, the head of its key, had ended"
                )

    # -- at the end ------------------------------------------------------------------------------

    def check_end(self, reported_lost: int) -> None:
        """Every job has its one outcome, or was told to be lost."""
        letters: dict[str, int] = defaultdict(int)
        for topic in _LETTERS:
            for record in self._broker.visible(topic):
                letters[job_of(record)[0]] += 1
        lost = 0
        for job in self._jobs.values():
            ends = self.finals[job.job_id]
            if not ends and job.deleted:
                lost += 1
                continue
            if not ends:
                raise Violation(f"{job} is lost")
            if job.forgiven:
                continue
            if len(ends) > 1 or not ends <= set(job.ends):
                raise Violation(f"{job} ended as {ends}, not as one of {job.ends}")
            state, _ = next(iter(ends))
            if letters[job.job_id] != (state == JobState.DEAD):
                raise Violation(f"{job} is {state} and has {letters[job.job_id]} dead letters")
        if lost > reported_lost:
            raise Violation(f"retention deleted {lost} jobs, {reported_lost} were told to be lost")
