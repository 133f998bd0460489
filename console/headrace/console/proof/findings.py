"""What a check found: counts, and for each violation enough to look into it.

`ok` says that everything which must be zero is zero, and that the run was worth something: there
were jobs and executions, it is known which faults were made, and they hit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from headrace.console.proof.joined import Job

MUST_BE_ZERO: Final = (
    "lost",
    "early",
    "duplicates",
    "reexecution_bound_violations",
    "order_violations",
    "attempt_violations",
    "fenced_violations",
    "premature_commits",
    "stuck_partitions",
)
MOST_EXAMPLES: Final = 20
"""Violations of one key that are told in full; all are counted."""


@dataclass(frozen=True, slots=True)
class Example:
    """One violation.

    Attributes:
        what: In one sentence.
        job_id: Whose; empty when it is a partition's.
        fault: Number of the fault that it has to do with; 0 when with none.
        details: Everything known of the job: its records, transitions and executions.
    """

    what: str
    job_id: str = ""
    fault: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Violations:
    """The violations of one key.

    Attributes:
        count: How many.
        examples: The first ones, by job.
    """

    count: int = 0
    examples: Sequence[Example] = ()


@dataclass(frozen=True, slots=True)
class Lateness:
    """How long after its due time a job with one started, first executions only, in ms."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the accepted jobs, 0 to 1."""

    retried: float = 0.0
    delayed: float = 0.0
    keyed: float = 0.0


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of a check: one field for each key of the JSON report."""

    accepted: int
    executions: int
    reexecuted: int
    lost: int
    early: int
    duplicates: int
    reexecution_bound_violations: int
    order_violations: int
    attempt_violations: int
    fenced_violations: int
    premature_commits: int
    stuck_partitions: int
    late_outcomes: int
    """Outcomes that a worker stored after it had lost the partition and before it could know:
    right after it was stopped or cut off. Allowed; told so that nobody wonders."""
    faults: Mapping[str, int]
    """By kind."""
    reexecuted_by_kind: Mapping[str, int]
    """Explained re-executions by the kind of fault that explains them."""
    outcomes: Mapping[str, int]
    """Accepted jobs by their final outcome."""
    lateness_ms: Lateness
    shares: Shares
    reasons: Sequence[str]
    """Why the run proves nothing, whatever the counts say; empty when it does."""
    examples: Mapping[str, Sequence[Example]]
    """By key: the first violations."""
    seed: int
    run: Mapping[str, Any]
    """What the run was: scenario, minutes, versions, machine …"""

    @property
    def violations(self) -> Mapping[str, int]:
        """Give what must be zero, by key."""
        return {key: getattr(self, key) for key in MUST_BE_ZERO}

    @property
    def ok(self) -> bool:
        """Whether every promise was kept, by a run that could have shown otherwise."""
        return not self.reasons and not any(self.violations.values())

    def as_json(self) -> dict[str, Any]:
        """Give everything, `ok` included, as JSON can hold it."""
        return {"ok": self.ok, **asdict(self)}


def violations(examples: Iterable[Example]) -> Violations:
    """Count violations, and keep the first by job id: the same whatever order they came in."""
    found = sorted(examples, key=lambda each: (each.job_id, each.what, each.fault))
    return Violations(len(found), found[:MOST_EXAMPLES])


def about(job: Job, what: str, fault: int = 0, **more: Any) -> Example:
    """Make an example with everything known of its job."""
    return Example(what, job.id, fault, _details(job) | more)


def _details(job: Job) -> dict[str, Any]:
    return {
        "submission": job.submission._asdict(),
        "accepted": job.accepted,
        "records": [each._asdict() for each in (*job.lane, *job.tiers, *job.dead)],
        "transitions": [each._asdict() for each in job.transitions],
        "executions": [each._asdict() for each in job.executions],
    }
