"""The execution logs joined with what lies on the topics: everything that is known of each job.

An execution says which attempt it is, not which record it ran from. That is told here:

- Outside ordered queues each wait is a record of its own, with a step of its own. An execution ran
  from the newest step of its attempt that lay on the lane when it started. A record that was
  released twice has one step, and its first copy counts.
- In ordered queues jobs wait in place: every attempt runs from the job's first record on the lane.
  A snooze makes the next execution of the same attempt another turn.

Executions of one job with the same attempt and turn are one execution and its repetitions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from headrace.console.proof.dump import Records, Role, StoredTransition, TopicRecord, role_of
from headrace.console.proof.executions import Execution, executions_of
from headrace.console.proof.records import (
    ExecutionEvent,
    Fault,
    RunInfo,
    Submission,
    What,
    WorkerEvent,
)
from headrace.console.proof.run_folder import FAULTS, RunFolder

MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""


class Ran(NamedTuple):
    """An execution with what it ran from."""

    execution: Execution
    record: TopicRecord | None
    """The first record with its step; None when no record on the lane has its attempt."""
    turn: int
    """Step of the record; in ordered queues how often it had snoozed before."""


@dataclass(slots=True, eq=False)
class Job:
    """Everything known of one job."""

    submission: Submission
    accepted: bool
    ordered: bool
    lane: list[TopicRecord] = field(default_factory=list)
    tiers: list[TopicRecord] = field(default_factory=list)
    dead: list[TopicRecord] = field(default_factory=list)
    transitions: list[StoredTransition] = field(default_factory=list)
    """Without those that only tell that a job runs."""
    executions: list[Execution] = field(default_factory=list)
    """By start."""
    ahead: int = 0
    """Nanoseconds by which the broker's clock is ahead of the handlers'."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.submission.job_id

    def ran(self) -> list[Ran]:
        """Give the executions with what each ran from, by start."""
        return _in_place(self) if self.ordered else _by_step(self)

    def turns(self) -> Iterable[Sequence[Ran]]:
        """Give each execution with its repetitions, the first one first."""
        by_turn: dict[tuple[int, int], list[Ran]] = {}
        for ran in self.ran():
            by_turn.setdefault((ran.execution.attempt, ran.turn), []).append(ran)
        return by_turn.values()


@dataclass(frozen=True, slots=True)
class RunLog:
    """What a run wrote down, read into memory.

    Attributes:
        info: What the run was.
        submitted: Accepted jobs.
        unconfirmed: Jobs without a promise.
        events: All lines of all execution logs.
        faults: None when it was not written down which were made.
        workers: What the workers did.
    """

    info: RunInfo
    submitted: Sequence[Submission]
    unconfirmed: Sequence[Submission]
    events: Iterable[ExecutionEvent]
    faults: Sequence[Fault] | None
    workers: Sequence[WorkerEvent] = ()

    @classmethod
    def load(cls, folder: RunFolder) -> "RunLog":
        """Read a run folder.

        Raises:
            RunFolderError: A file that everything else hangs on is missing or broken.
        """
        known = (folder.path / FAULTS).is_file()
        return cls(
            folder.info(),
            list(folder.submitted()),
            list(folder.unconfirmed()),
            folder.executions(),
            folder.faults() if known else None,
            folder.worker_events(),
        )


@dataclass(frozen=True, slots=True)
class Joined:
    """Everything that the checks look at.

    Attributes:
        info: What the run was.
        jobs: Every submitted job by id.
        strangers: Ids of jobs that ran and that nobody has submitted.
        broken_logs: Ends of executions that had not begun.
        ahead: Nanoseconds by which the broker's clock is ahead of the handlers', at least: 0 when
            no job began before its record was stored, as on one machine.
        faults: What was done, by number.
        records: What lay on the topics.
    """

    info: RunInfo
    jobs: Mapping[str, Job]
    strangers: Sequence[str]
    broken_logs: int
    ahead: int
    faults: Sequence[Fault]
    records: Records

    def accepted(self) -> Iterable[Job]:
        """Give the jobs that the broker confirmed."""
        return (job for job in self.jobs.values() if job.accepted)


def join(log: RunLog, records: Records) -> Joined:
    """Put together what belongs to each job. The order of all that is given does not matter."""
    jobs = _jobs(log)
    _add_records(jobs, records.records, log.info.pipeline)
    for told in sorted(records.transitions):
        job = jobs.get(told.job_id)
        if job is not None and told.state != "running":
            job.transitions.append(told)
    ran = executions_of(log.events, jobs)
    for job_id, job in jobs.items():
        job.executions = ran.by_job.get(job_id, job.executions)
    strangers = sorted(ran.by_job.keys() - jobs.keys())
    ahead = _ahead(jobs.values())
    for job in jobs.values():
        job.ahead = ahead
    faults = sorted(log.faults or (), key=lambda fault: fault.number)
    return Joined(log.info, jobs, strangers, ran.broken, ahead, faults, records)


def pid_of(worker: str) -> int:
    """Read the pid out of a worker's name, `host-pid-chance`; 0 when it has none."""
    parts = worker.rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0


def _jobs(log: RunLog) -> dict[str, Job]:
    ordered = frozenset(log.info.ordered)
    told = ((False, log.unconfirmed), (True, log.submitted))  # what was confirmed wins
    return {
        each.job_id: Job(each, accepted, each.lane in ordered)
        for accepted, submissions in told
        for each in sorted(submissions)
    }


def _add_records(jobs: Mapping[str, Job], records: Iterable[TopicRecord], pipeline: str) -> None:
    roles = {topic: role_of(topic, pipeline) for topic in {record.topic for record in records}}
    for record in sorted(records):
        job = jobs.get(record.job_id)
        if job is None:
            continue
        match roles[record.topic]:
            case Role.LANE:
                job.lane.append(record)
            case Role.TIER:
                job.tiers.append(record)
            case Role.DEAD:
                job.dead.append(record)
            case _:
                pass


def _ahead(jobs: Iterable[Job]) -> int:
    """Bound the difference of the clocks: no job begins before its first record lies on the lane."""
    differences = (
        min(record.appended for record in job.lane) * MS - job.executions[0].start
        for job in jobs
        if job.lane and job.executions
    )
    return max(0, max(differences, default=0))


def _by_step(job: Job) -> list[Ran]:
    firsts: dict[tuple[int, int], TopicRecord] = {}
    for record in sorted(job.lane, key=lambda each: (each.step, each.offset)):
        firsts.setdefault((record.attempt, record.step), record)
    ran: list[Ran] = []
    for execution in job.executions:
        steps = [each for each in firsts.values() if each.attempt == execution.attempt]
        ran.append(_newest(execution, steps, job.ahead))
    return ran


def _newest(execution: Execution, steps: Sequence[TopicRecord], ahead: int) -> Ran:
    if not steps:
        return Ran(execution, None, 0)
    there = [each for each in steps if each.appended * MS <= execution.start + ahead]
    record = there[-1] if there else steps[0]
    return Ran(execution, record, record.step)


def _in_place(job: Job) -> list[Ran]:
    record = min(job.lane, key=lambda each: each.offset, default=None)
    snoozes: dict[int, int] = {}
    ran: list[Ran] = []
    for execution in job.executions:
        turn = snoozes.get(execution.attempt, 0)
        ran.append(Ran(execution, record, turn))
        if execution.how is What.SNOOZE:
            snoozes[execution.attempt] = turn + 1
    return ran
