"""Synthetic proof runs, told step by step: what a job does, and when.

    run = Run()
    job = run.job("a")                  # submitted, lies on its lane
    job.runs(WORKER)                    # starts and ends well
    job.succeeds(WORKER)                # the outcome is stored
    findings = run.check()

Time passes by one millisecond with everything that happens, and by `run.wait`. At the end every
partition is committed to its end, unless `run.ends_at` says otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.console.proof.checker import check
from headrace.console.proof.dump import Position, Records, StoredTransition, TopicRecord
from headrace.console.proof.findings import MUST_BE_ZERO, Findings
from headrace.console.proof.joined import MS, RunLog
from headrace.console.proof.records import (
    Committed,
    ExecutionEvent,
    Fault,
    Kind,
    Place,
    RunInfo,
    Submission,
    What,
)
from headrace.consumers.commit_metadata import CommitMetadata, encode

PIPELINE = "proof"
LANE = "proof.default.normal"
TURNS = "proof.ordered.normal"
"""The lane of the ordered queue."""
SOON = "proof.delay.soon"
WORKER, OTHER, THIRD = 1001, 1002, 1003
SESSION = 6.0
T0 = 1_700_000_000_000


def name_of(worker: int) -> str:
    return f"host-{worker}-abcdef"


def covering(offset: int, *finished: range) -> Committed:
    """A commit with a finished map."""
    return Committed(offset, encode(CommitMetadata(finished=finished), offset))


@dataclass
class Run:
    """One run. Times in epoch ms."""

    scenario: str = "all"
    now: int = T0
    submitted: list[Submission] = field(default_factory=list)
    unconfirmed: list[Submission] = field(default_factory=list)
    events: list[ExecutionEvent] = field(default_factory=list)
    faults: list[Fault] | None = field(default_factory=list)
    records: list[TopicRecord] = field(default_factory=list)
    transitions: list[StoredTransition] = field(default_factory=list)
    ends: dict[Place, Committed] = field(default_factory=dict)
    prefix: str = ""
    """Of the ids and keys of jobs that are submitted from now on."""
    _offsets: Counter[Place] = field(default_factory=Counter)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def wait(self, ms: int) -> None:
        self.now += ms

    def job(
        self,
        job_id: str,
        *,
        lane: str = LANE,
        key: str = "",
        seq: int = -1,
        delay: int = 0,
        partition: int = 0,
        accepted: bool = True,
        stored: bool = True,
    ) -> "JobStory":
        due = self.tick() + delay if delay else 0
        job_id, key = self.prefix + job_id, self.prefix + key if key else ""
        story = JobStory(self, job_id, lane, key, seq, due, partition)
        offset = story.written(SOON if due else lane) if stored else -1
        submission = Submission(job_id, "work", lane, key, seq, due, "{}", partition, offset)
        (self.submitted if accepted else self.unconfirmed).append(submission)
        return story

    def append(self, record: TopicRecord) -> int:
        offset = self._offsets[record.place]
        self._offsets[record.place] += 1
        self.records.append(record._replace(offset=offset, appended=self.tick()))
        return offset

    def fault(
        self,
        worker: int,
        kind: Kind = Kind.KILL,
        *,
        lasts: int = 1,
        committed: Mapping[Place, Committed] | None = None,
        in_flight: int = 1,
        workers: Iterable[int] = (),
        wakes: bool = False,
    ) -> Fault:
        """It hits now; `lasts` milliseconds later it is over, and so much time has passed."""
        began = self.tick()
        snapshot = self.tick()
        self.wait(lasts)
        assert self.faults is not None
        fault = Fault(
            number=len(self.faults) + 1,
            kind=kind,
            began_ns=began * MS,
            ended_ns=self.tick() * MS,
            workers=(worker, *workers),
            in_flight=in_flight,
            committed={(LANE, 0): Committed(0)} if committed is None else committed,
            snapshot_ns=snapshot * MS,
            woken_ns=self.now * MS if wakes else 0,
        )
        self.faults.append(fault)
        return fault

    def ends_at(self, topic: str, committed: Committed, partition: int = 0) -> None:
        """Say what is committed at the end."""
        self.ends[topic, partition] = committed

    def positions(self) -> dict[Place, Position]:
        moved = {place: end for place, end in self._offsets.items() if ".dlq" not in place[0]}
        return {
            place: Position(end, self.ends.get(place, Committed(end)))
            for place, end in moved.items()
        }

    def log(self) -> RunLog:
        info = RunInfo(
            "r1", 7, PIPELINE, self.scenario, 1.0, "", {"kafka": "4.3.1"}, {"cpus": 2}, SESSION, 8,
            (TURNS,),
        )  # fmt: skip
        return RunLog(info, self.submitted, self.unconfirmed, self.events, self.faults)

    def left(self) -> Records:
        return Records(self.records, self.transitions, self.positions())

    def check(self) -> Findings:
        return check(self.log(), self.left())


@dataclass
class JobStory:
    """One job; each method is one thing that happens to it."""

    run: Run
    id: str
    lane: str
    key: str
    seq: int
    due: int
    partition: int
    attempt: int = 1
    step: int = -1
    offset: int = -1
    """Of its newest record on the lane."""

    def written(
        self, topic: str, *, due: int | None = None, worker: str = "", reason: str = ""
    ) -> int:
        """A record of it is stored, one step on."""
        self.step += 1
        return self.copied(topic, due=due, worker=worker, reason=reason)

    def copied(
        self, topic: str, *, due: int | None = None, worker: str = "", reason: str = ""
    ) -> int:
        """The same record is stored once more: of the same step, at another offset."""
        offset = self.run.append(
            TopicRecord(
                topic, self.partition, 0, 0, self.id, self.attempt, self.step, 0,
                self.due if due is None else due, worker, reason,
            )
        )  # fmt: skip
        if topic == self.lane and self.offset < 0:
            self.offset = offset
        return offset

    def released(self) -> "JobStory":
        """It goes from the delay tier to its lane, when it is due."""
        self.run.now = max(self.run.now, self.due)
        self.offset = -1
        self.written(self.lane)
        return self

    def starts(self, worker: int, *, attempt: int = 0, pid: int = 0) -> "JobStory":
        return self._event(What.START, worker, attempt, pid)

    def ends(
        self, worker: int, how: What = What.DONE, *, attempt: int = 0, pid: int = 0
    ) -> "JobStory":
        return self._event(how, worker, attempt, pid)

    def runs(self, worker: int, how: What = What.DONE, *, attempt: int = 0) -> "JobStory":
        return self.starts(worker, attempt=attempt).ends(worker, how, attempt=attempt)

    def succeeds(self, worker: int) -> "JobStory":
        return self.told("succeeded", worker)

    def retries(self, worker: int, wait: int = 1_000, *, error: str = "Error") -> "JobStory":
        """It failed and goes to the delay tiers, as the next attempt."""
        self.due = self.run.now + wait
        self.told("retrying", worker, error=error)
        self.attempt += 1
        self.written(SOON)
        return self

    def snoozes(self, worker: int, wait: int = 1_000) -> "JobStory":
        """It asked to come back: the same attempt as another step."""
        self.due = self.run.now + wait
        self.told("retrying", worker)
        self.written(SOON)
        return self

    def waits_in_place(self, worker: int, wait: int, *, error: str = "Error") -> "JobStory":
        """It failed in an ordered queue; an empty error is a snooze."""
        self.due = self.run.now + wait
        self.told("retrying", worker, error=error)
        self.attempt += bool(error)
        self.step += 1
        return self

    def dies(self, worker: int, reason: str = "exhausted") -> "JobStory":
        self.told("dead", worker, error="Error")
        self.due = 0
        topic = f"{PIPELINE}.{self.lane.split('.')[1]}.dlq"
        self.written(topic, worker=name_of(worker), reason=reason)
        return self

    def told(self, state: str, worker: int, *, error: str = "") -> "JobStory":
        """A transition is stored."""
        self.run.transitions.append(
            StoredTransition(
                self.run.tick(), self.id, state, self.lane, self.partition, self.offset,
                self.attempt, self.step, 0, self.due, name_of(worker), error,
            )
        )  # fmt: skip
        return self

    def _event(self, what: What, worker: int, attempt: int, pid: int) -> "JobStory":
        at = self.run.tick() * MS
        self.run.events.append(
            ExecutionEvent(
                at, what, self.id, attempt or self.attempt, pid or worker, self.lane, self.key,
                self.seq, self.due, at, worker,
            )
        )  # fmt: skip
        return self


def clean(run: Run, *, job_id: str = "clean") -> JobStory:
    """A job that a kill cut off and that another worker finished: what every honest run has."""
    job = run.job(job_id)
    job.starts(WORKER)
    run.fault(WORKER)
    return job.runs(OTHER).succeeds(OTHER)


def tripped(findings: Findings) -> dict[str, int]:
    """What is not zero and should be."""
    return {key: getattr(findings, key) for key in MUST_BE_ZERO if getattr(findings, key)}
