"""The jobs that a model submits: what their handlers will do, and what must become of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from headrace.consumers.outcomes import (
    Died,
    ErrorInfo,
    Failed,
    Outcome,
    Rejected,
    Snoozed,
    Succeeded,
)
from headrace.pipeline import Lane, Pipeline, Queue, Retry
from headrace.schemas.headers import JobHeaders

pipeline = Pipeline(
    "model", queues=[Queue("work", priorities=("normal",)), Queue("line", ordered=True)]
)
MAX_ATTEMPTS: Final = 3
RETRIES: Final = {
    "brief": Retry(MAX_ATTEMPTS, timedelta(seconds=1), jitter=0),
    "slow": Retry(MAX_ATTEMPTS, timedelta(seconds=90), cap=timedelta(hours=1), jitter=0),
}
SNOOZE: Final = timedelta(seconds=3)


@pipeline.job("brief", queue="work", retry=RETRIES["brief"])
def _brief(number: int) -> None: ...


@pipeline.job("slow", queue="work", retry=RETRIES["slow"])
def _slow(number: int) -> None: ...


PAYLOAD: Final = _brief.arguments.encode({"number": 1})
LANES: Final = {lane.queue: lane for lane in pipeline.topology.lanes()}


class Plan(StrEnum):
    """What the handler of a job does."""

    OK = "ok"
    FAIL_ONCE = "fails once"
    FAIL_TWICE = "fails twice"
    ALWAYS_FAIL = "always fails"
    REJECT = "rejects"
    SNOOZE = "snoozes once"
    KILL = "kills its process"


FAILURES: Final = {Plan.FAIL_ONCE: 1, Plan.FAIL_TWICE: 2, Plan.ALWAYS_FAIL: MAX_ATTEMPTS}
_ERROR: Final = ErrorInfo(("builtins.ValueError",), "ValueError", "planned")


@dataclass(eq=False)
class Submitted:
    """One job. Times in epoch milliseconds.

    Attributes:
        due: Before which it may not run; 0 when it may at once.
        not_before: Likewise for each attempt, by what was decided of those before.
        snoozed: The lowest step at which it snoozed.
        killed: Workers that it killed.
        blamed: Deaths of workers, by other causes, while it ran alone.
        forgiven: A tool changed what was committed of its partition: it may run again.
        deleted: Retention deleted its record before it was done.
    """

    job_id: str
    job_type: str
    plan: Plan
    lane: Lane
    key: bytes
    due: int
    not_before: dict[tuple[int, bool], int] = field(default_factory=dict)
    snoozed: int | None = None
    killed: int = 0
    blamed: int = 0
    forgiven: bool = False
    deleted: bool = False

    def __str__(self) -> str:
        return f"{self.job_id} ({self.plan})"

    def headers(self, created: int) -> JobHeaders:
        source = f"/headrace/{pipeline.name}"
        due = self.due or None
        return JobHeaders(self.job_id, self.job_type, source, created, self.lane.topic, due=due)

    def outcome(self, job: JobHeaders) -> Outcome:
        """What its handler does at this attempt and step: the same whenever it is run again."""
        if self.plan is Plan.REJECT:
            return Rejected(_ERROR)
        if self.plan is Plan.KILL:
            return Died("SIGKILL")
        if self.plan is Plan.SNOOZE and (self.snoozed is None or job.step <= self.snoozed):
            self.snoozed = job.step
            return Snoozed(SNOOZE)
        if job.attempt <= FAILURES.get(self.plan, 0):
            return Failed(_ERROR)
        return Succeeded()

    def decided(self, job: JobHeaders, outcome: Outcome, ended: int) -> None:
        """Note before when the next attempt may not start."""
        if isinstance(outcome, Snoozed):
            wait, following = SNOOZE, (job.attempt, True)
        elif isinstance(outcome, Failed | Died):
            policy = RETRIES[self.job_type]
            wait = min(policy.base * policy.factor ** (job.attempt - 1), policy.cap)
            following = (job.attempt + 1, False)
        else:
            return
        due = ended + round(wait.total_seconds() * 1000)
        self.not_before[following] = min(due, self.not_before.get(following, due))

    def earliest(self, job: JobHeaders) -> int:
        """Before when this attempt may not start."""
        after_snooze = self.snoozed is not None and job.step > self.snoozed
        earliest = max(self.due, self.not_before.get((job.attempt, False), 0))
        return max(earliest, self.not_before.get((job.attempt, after_snooze), 0))

    @property
    def ends(self) -> Sequence[tuple[str, str | None]]:
        """The outcomes that it may have: state and reason."""
        ends: list[tuple[str, str | None]] = []
        if self.plan is Plan.REJECT:
            ends.append(("dead", "rejected"))
        elif self.plan is Plan.KILL:
            ends.append(("dead", "crash-loop"))
        elif self.plan is Plan.ALWAYS_FAIL:
            ends.append(("dead", "exhausted"))
        else:
            ends.append(("succeeded", None))
        if self.blamed > 1:
            ends += [("dead", "crash-loop"), ("dead", "exhausted")]
        return ends
