"""One partition's commits: made, outstanding, settled. At most one is outstanding."""

from collections.abc import Collection
from dataclasses import dataclass, replace


class LedgerError(RuntimeError):
    """The ledger was told something that cannot be; going on could lose or repeat a job."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What to commit for one partition.

    Attributes:
        offset: The commit point.
        metadata: The text that goes with it.
        handed_over: Offsets that count as finished only once this commit has landed, because
            their hand-over lies in the same transaction.
    """

    offset: int
    metadata: str
    handed_over: tuple[int, ...] = ()


class CommitSlot:
    """The last commit that landed, and the one whose end is not known yet.

    While the end of one is unknown no other may be sent: the last append wins, whichever it is,
    and a plain commit sent meanwhile could undo a hand-over.
    """

    __slots__ = ("_landed", "outstanding")

    def __init__(self) -> None:
        self._landed: Commit | None = None
        self.outstanding: Commit | None = None

    def occupy(self, commit: Commit, *, renew: bool) -> Commit | None:
        """Make a commit the outstanding one; None if the broker has the same already."""
        if commit == self._landed and not renew:
            return None
        self.outstanding = commit
        return commit

    def settle(self, commit: Commit, *, landed: bool) -> None:
        """Free the slot.

        Raises:
            LedgerError: It is not this commit that is outstanding.
        """
        if self.outstanding is not commit:
            raise LedgerError(f"{commit} was settled, but outstanding is {self.outstanding}")
        self.outstanding = None
        # One that failed may have landed all the same: then the one before is there no more.
        self._landed = replace(commit, handed_over=()) if landed else None

    def refuse_second(self, handing_over: Collection[int]) -> None:
        """Raise LedgerError if a hand-over meets an outstanding commit."""
        if handing_over and self.outstanding is not None:
            raise LedgerError(
                f"offsets {list(handing_over)} cannot be handed over while the commit of offset "
                f"{self.outstanding.offset} is outstanding: settle that one first"
            )
