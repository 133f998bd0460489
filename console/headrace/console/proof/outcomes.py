"""Final outcomes: `lost`, `duplicates`, `fenced_violations`.

A final outcome of a job is one of

- `succeeded`: a transition says so, and the log has an execution that ended well. A transition
  alone is a claim; the log is the fact.
- `dead`: a record lies in a dead-letter topic, and a transition says `dead`. Without the record
  nobody can replay the job; without the transition nobody learns of it.
- `cancelled`, `expired`: a transition says so.

`lost` counts accepted jobs without a final outcome. It does not matter whether a record of theirs
still waits somewhere: a run is checked after everything has been drained.

`duplicates` counts accepted jobs with two different final outcomes, or with two dead letters. The
same success told twice is none (a job that ran again after a kill tells it again), and a
`duplicate` transition is none either: it says that a record which was written twice was dropped.

`fenced_violations` counts what was accepted of a worker whose partition belonged to another one:

- hand-overs of one record to delay tiers or dead letters beyond the first: only one owner can make
  one, in one transaction with its commit. Several dead letters count here only when they are of
  different workers; those of one worker are `duplicates`.
- final outcomes (transitions) that a worker stored for a job after another worker had started the
  same turn of it, when the first had started it before, and between the two a fault had hit the
  first. (Without such a fault it is the other that started what was not its own: that is a
  re-execution without a cause.) A worker that was stopped or cut off
  cannot know of its loss at once: what it stores until one session timeout after the fault's end
  counts as `late_outcomes`, not as a violation. It changes nothing: the outcome is true, and the
  offsets and hand-overs of that worker are refused.

Jobs without a promise (`unconfirmed.tsv`) count nowhere here.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from headrace.console.proof.dump import StoredTransition
from headrace.console.proof.findings import Example, about
from headrace.console.proof.joined import MS, Job, Joined, Ran, pid_of
from headrace.console.proof.records import Fault, Kind, What

SUCCEEDED: Final = "succeeded"
DEAD: Final = "dead"
FINAL: Final = frozenset({SUCCEEDED, DEAD, "cancelled", "expired"})
_HIDES_A_LOSS: Final = frozenset(
    {Kind.STOP_CONT, Kind.BROKER_KILL, Kind.NETWORK_CUT, Kind.NETWORK_SLOW, Kind.SEVERAL}
)
"""Faults during which a worker lives and cannot learn what became of its partitions."""


def finals(job: Job) -> frozenset[str]:
    """Give the final outcomes of a job that are more than claims."""
    told = {each.state for each in job.transitions} & FINAL
    if not any(each.how is What.DONE for each in job.executions):
        told.discard(SUCCEEDED)
    if not job.dead:
        told.discard(DEAD)
    return frozenset(told)


def outcome_counts(joined: Joined) -> dict[str, int]:
    """Count accepted jobs by final outcome; one with several counts in each."""
    found = Counter(state for job in joined.accepted() for state in finals(job))
    return dict(sorted(found.items()))


def lost(joined: Joined) -> Iterator[Example]:
    """Find accepted jobs without a final outcome."""
    for job in joined.accepted():
        if not finals(job):
            yield about(job, _how_lost(job))


def _how_lost(job: Job) -> str:
    claimed = sorted({each.state for each in job.transitions} & FINAL)
    if SUCCEEDED in claimed:
        return "it is said to have succeeded, but no execution of it has ended well"
    if DEAD in claimed:
        return "it is said to be dead, but there is no dead letter"
    if job.dead:
        return "there is a dead letter, but nothing told that it is dead"
    if not (job.lane or job.tiers):
        return "accepted, but no record of it lies on any lane or delay tier"
    return "no outcome was stored" if job.executions else "never started, and no outcome was stored"


def duplicates(joined: Joined) -> Iterator[Example]:
    """Find accepted jobs with several outcomes."""
    for job in joined.accepted():
        found = finals(job)
        if len(found) > 1:
            yield about(job, f"several final outcomes: {', '.join(sorted(found))}")
        elif len(job.dead) > 1:
            yield about(job, f"{len(job.dead)} dead letters")


def fenced(joined: Joined) -> Iterator[Example]:
    """Find what was accepted of workers that had lost their partition."""
    for job in joined.accepted():
        yield from _handed_over_again(job)
    for job, late in _late(joined):
        if not late.excused:
            yield about(
                job,
                f"worker {late.loser} stored {late.transition.state} after worker {late.owner} "
                "had started the job anew",
            )


def late_outcomes(joined: Joined) -> int:
    """Count outcomes that came late from workers that could not know better."""
    return sum(late.excused for _, late in _late(joined))


def _handed_over_again(job: Job) -> Iterator[Example]:
    written = Counter((each.generation, each.step) for each in (*job.tiers, *job.dead))
    for (generation, step), count in sorted(written.items()):
        if count == 1:
            continue
        letters = [each for each in job.dead if (each.generation, each.step) == (generation, step)]
        if len(letters) == count and len({each.worker for each in letters}) == 1:
            continue  # one worker, twice: a duplicate
        yield about(job, f"{count} hand-overs with step {step}: one owner can make only one")


class _Late(NamedTuple):
    transition: StoredTransition
    loser: int
    owner: int
    excused: bool


def _late(joined: Joined) -> Iterator[tuple[Job, _Late]]:
    patience = int(joined.info.session_timeout_seconds * 1_000_000_000)
    for job in joined.accepted():
        if len({each.worker for each in job.executions}) < 2:
            continue
        for told in job.transitions:
            late = _late_one(job, told, joined.faults, patience)
            if late is not None:
                yield job, late


def _late_one(
    job: Job, told: StoredTransition, faults: Sequence[Fault], patience: int
) -> _Late | None:
    if told.state not in FINAL:
        return None
    loser, stored = pid_of(told.worker), told.appended * MS - job.ahead
    hits = [fault for fault in faults if loser in fault.workers]
    for turn in job.turns():
        owner = _owner(turn, loser, stored, told, hits)
        if owner:
            excused = any(_excuses(fault, stored, patience) for fault in hits)
            return _Late(told, loser, owner, excused)
    return None


def _owner(
    turn: Sequence[Ran], loser: int, stored: int, told: StoredTransition, hits: Sequence[Fault]
) -> int:
    """Give the worker that had started the turn after a fault of the loser, before its outcome."""
    mine = [ran.execution.start for ran in turn if ran.execution.worker == loser]
    if turn[0].execution.attempt != told.attempt or not mine:
        return 0
    lost = min((fault.began_ns for fault in hits if mine[-1] < fault.ended_ns), default=stored)
    others = (ran.execution for ran in turn if ran.execution.worker != loser)
    return next((each.worker for each in others if max(lost, mine[-1]) < each.start < stored), 0)


def _excuses(fault: Fault, stored: int, patience: int) -> bool:
    return (
        fault.kind in _HIDES_A_LOSS
        and fault.began_ns < stored + MS
        and stored <= fault.ended_ns + patience
    )
