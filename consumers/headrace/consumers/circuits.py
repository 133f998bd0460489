"""Circuits as a worker holds them: jobs of an open one go back to wait, uncounted.

While no circuit is open, a turn costs one look at `some`.
"""

import random
from collections.abc import Callable, Iterable
from typing import Final

from headrace.consumers import settling
from headrace.consumers.clock import now_ms
from headrace.consumers.outcomes import ComeBack
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import JobRecord
from headrace.consumers.settled import Rules, Settled
from headrace.pipeline.circuits import Circuit

_SPREAD: Final = 2_000
"""Milliseconds over which jobs come back, so that they are not all there at once."""
_AFTER_TRIALS: Final = 5_000
"""Milliseconds that jobs wait while the trial jobs are judged."""
Admitted = Iterable[tuple[JobRecord, OwnedPartition]]


class Circuits:
    """The circuits that are not closed. One thread writes, all others look."""

    def __init__(self) -> None:
        self._known: dict[str, Circuit] = {}

    @property
    def some(self) -> bool:
        """Whether any is open or half-open."""
        return bool(self._known)

    def of(self, job_type: str) -> Circuit | None:
        """Find the circuit of a job type; None when it is closed."""
        return self._known.get(job_type)

    def take(self, job_type: str, circuit: Circuit | None) -> None:
        """Take what the control topic says; None when it says nothing any more."""
        known = dict(self._known)
        known.pop(job_type, None)
        if circuit is not None and circuit.is_open:
            known[job_type] = circuit
        self._known = known


class CircuitGate:
    """The circuits, as one lane honours them. Owned by the lane's thread.

    Args:
        circuits: What the process knows.
        record: Records what became of a job.
        rules: What the lane's jobs are judged by.
        clock: Epoch milliseconds.
    """

    def __init__(
        self,
        circuits: Circuits,
        record: Callable[[JobRecord, Settled], None],
        rules: Rules,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._circuits = circuits
        self._record = record
        self._rules = rules
        self._clock = clock
        self._trials: dict[str, tuple[int, int]] = {}

    def pass_on(self, admitted: Admitted) -> Admitted:
        """Send the jobs of open circuits back to wait; give the others."""
        if not self._circuits.some:
            return admitted
        now = self._clock()
        return [(record, owned) for record, owned in admitted if not self._holds(record, now)]

    def _holds(self, record: JobRecord, now: int) -> bool:
        circuit = self._circuits.of(record.headers.job_type)
        if circuit is None:
            return False
        due = self._due(circuit, now)
        if due is None:
            return False
        back = ComeBack(due + random.randrange(_SPREAD), counted=False)
        self._record(record, settling.settled(record, back, self._rules, now))
        return True

    def _due(self, circuit: Circuit, now: int) -> int | None:
        """Say until when a job waits; None when it may run."""
        match circuit.state(now):
            case "open":
                return circuit.until
            case "half-open":
                return None if self._is_trial(circuit) else now + _AFTER_TRIALS
            case _:
                return None

    def _is_trial(self, circuit: Circuit) -> bool:
        until, given = self._trials.get(circuit.job_type, (0, 0))
        if until != circuit.until:
            given = 0
        if given >= circuit.trial_jobs:
            return False
        self._trials[circuit.job_type] = (circuit.until, given + 1)
        return True
