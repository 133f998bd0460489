"""The longest waits of a run's faults, beside what is promised for them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from headrace.console.proof.records import Fault, Kind

_NAMES: Final = {
    (Kind.KILL, Kind.KILL_GROUP): "a killed worker",
    (Kind.STOP_CONT, Kind.NETWORK_CUT): "a worker that stopped or was cut off",
    (Kind.REBALANCE_STORM,): "a clean leave or join",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """How long jobs waited on partitions that changed hands after one sort of event.

    Attributes:
        after: The event.
        measured: How many faults.
        first_ms: Until the first job on one of the partitions, the longest of all faults.
        last_ms: Until each of the partitions ran, the longest of all faults; None when unknown.
    """

    after: str
    measured: int
    first_ms: int
    last_ms: int | None

    def text(self) -> str:
        """Say it in one line."""
        last = "" if self.last_ms is None else f", on every partition {self.last_ms:,} ms"
        return (
            f"first job after {self.after}: {self.first_ms:,} ms at most{last} "
            f"({self.measured} measured)"
        )

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        return asdict(self)


def waits(faults: Iterable[Fault]) -> Sequence[Wait]:
    """Give the longest waits; those of faults that struck together are not measured."""
    known = list(faults)
    found = (_wait(name, [f for f in known if f.kind in kinds]) for kinds, name in _NAMES.items())
    return [each for each in found if each is not None]


def _wait(name: str, faults: Sequence[Fault]) -> Wait | None:
    first = [f.first_job_after_ms for f in faults if f.first_job_after_ms is not None]
    last = [f.last_partition_after_ms for f in faults if f.last_partition_after_ms is not None]
    return Wait(name, len(first), max(first), max(last, default=None)) if first else None
