"""Parked heads: what the commit metadata says of jobs that wait in place for their retry.

A head that failed waits on its partition, not in the delay tiers. Its record still says what it
said at first, so the attempt that comes next, the step and the due time are noted beside the
committed offset, for whoever owns the partition next.

The bytes, empty when nothing is parked: a base time, then for each parked head, by offset:

    the gap after the one before (the first: after the commit point)
    (attempt - 1) * 2, plus 1 if a step follows
    step, only if it is not attempt - 1
    the due time less the base, zigzag

All are varints and the base stays what it is, so a head that leaves or is parked again changes
no other head's bytes but the gap after it, and what was noted once never grows by itself.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from headrace.consumers.varint import VarintError, append_varint, read_varint
from headrace.schemas.headers import JobHeaders

MAX_PARKED_BYTES: Final = 1_536
"""Half of what commit metadata can hold; the other half is the finished map's."""
RESERVED_BYTES: Final = 15
"""The most by which parking a head again can make it longer: kept for the lowest offset."""
MAX_OFFSET: Final = 2**63 - 1
MAX_COUNT: Final = 2**32 - 1
"""Of attempts and of steps: one more than any header can say still fits."""
MAX_DUE: Final = 2**48 - 1
"""In milliseconds since the epoch: beyond the year 9999."""


class ParkedError(ValueError):
    """Notes of parked heads cannot be read, or cannot be so."""


class ParkedKey(NamedTuple):
    """A head that waits in place for its retry.

    Attributes:
        offset: Where its record lies.
        attempt: The attempt that comes next, 1 or more.
        step: The step of that attempt, as `headrace-step`.
        due: When it may start, in milliseconds since the Unix epoch.
    """

    offset: int
    attempt: int
    step: int
    due: int


class ParkedHeads:
    """The parked heads of one partition. Owned by one thread.

    Guarantees: an entry is dropped by `release` alone; the bytes fit `MAX_PARKED_BYTES` at every
    commit point not above the lowest entry, and grow by `park` alone. The head with the lowest
    offset always finds room to be parked again, so it comes to its outcome and makes room.
    """

    def __init__(self) -> None:
        self._heads: dict[int, ParkedKey] = {}
        self._base = 0
        self._rest: bytes | None = None
        """The encoding without base and first gap, until something changes."""

    def __len__(self) -> int:
        return len(self._heads)

    def get(self, offset: int) -> ParkedKey | None:
        """Find what is noted of a head; None when it is not parked."""
        return self._heads.get(offset)

    def park(self, parked: ParkedKey) -> bool:
        """Note that a head waits; one that is parked already is noted anew.

        Takes time in proportion to the number of parked heads.

        Returns:
            False if there is no room: nothing was changed, what was noted before still stands.
            Keep the head as it is until another one was released, and try again.

        Raises:
            ParkedError: A value is out of range, or its attempt or step would go back.
        """
        _check(parked)
        before = self._heads.get(parked.offset)
        if before is not None and (parked.attempt < before.attempt or parked.step < before.step):
            raise ParkedError(f"{parked} would go back behind {before}: attempts never do")
        heads = {**self._heads, parked.offset: parked}
        first = min(heads)
        reserved = 0 if before is not None and first == parked.offset else RESERVED_BYTES
        for base in (self._base if self._heads else parked.due, _middle_due(heads)):
            rest = _rest(heads, base)
            if len(_front(base, first)) + len(rest) <= MAX_PARKED_BYTES - reserved:
                self._heads, self._base, self._rest = heads, base, rest
                return True
        return False

    def release(self, offset: int) -> None:
        """Forget a head that has its outcome; one that is not parked changes nothing."""
        if self._heads.pop(offset, None) is not None:
            self._rest = None

    def forget_below(self, commit_offset: int, leaving: Collection[int] = ()) -> None:
        """Forget heads that the commit point has passed: their records are gone from the log.

        Not those that leave with the commit itself, as it may fail.
        """
        for offset in [at for at in self._heads if at < commit_offset and at not in leaving]:
            self.release(offset)

    def encode(self, commit_offset: int, leaving: Collection[int] = ()) -> bytes:
        """Write the notes for a commit of this offset; empty when nothing is parked.

        Args:
            commit_offset: The commit point that they will stand beside.
            leaving: Heads whose outcome is in the same transaction as the commit. They are left
                out here; release them once it has landed, for if it fails they are still parked.

        Raises:
            ParkedError: A parked head lies below it: the commit would cover a job that waits.
        """
        staying = self._heads
        if leaving:
            staying = {at: head for at, head in staying.items() if at not in leaving}
        if not staying:
            return b""
        first = min(staying)
        if first < commit_offset:
            raise ParkedError(
                f"offset {first} is parked and the commit point is {commit_offset}: finish a head "
                "in the ledger only after its outcome, and release it then"
            )
        return _front(self._base, first - commit_offset) + self._rest_of(staying)

    def _rest_of(self, staying: Mapping[int, ParkedKey]) -> bytes:
        if len(staying) < len(self._heads):
            return _rest(staying, self._base)
        if self._rest is None:
            self._rest = _rest(staying, self._base)
        return self._rest

    @classmethod
    def decode(cls, data: bytes, commit_offset: int) -> "ParkedHeads":
        """Read the notes that were committed with this offset.

        Raises:
            ParkedError: These are not bytes that `encode` writes; the message says where.
        """
        restored = cls()
        if not data:
            return restored
        if len(data) > MAX_PARKED_BYTES:
            raise ParkedError(f"{len(data)} bytes of parked heads, more than {MAX_PARKED_BYTES}")
        try:
            restored._base, at = read_varint(data, 0)
            heads = _read_heads(data, at, restored._base, commit_offset)
            restored._heads = {head.offset: head for head in heads}
        except VarintError as error:
            raise ParkedError(f"the parked heads of offset {commit_offset}: {error}") from error
        return restored


def resumed(headers: JobHeaders, parked: ParkedKey) -> JobHeaders:
    """Give the headers with which a parked head goes on when its record is read again.

    Attempt, step and due time are the note's. The history stays as the record has it: what
    became of attempts that were made in place is told by their transitions.
    """
    return headers._replace(attempt=parked.attempt, step=parked.step, due=parked.due)


def _check(parked: ParkedKey) -> None:
    offset, attempt, step, due = parked
    if not (
        0 <= offset <= MAX_OFFSET
        and 1 <= attempt <= MAX_COUNT
        and 0 <= step <= MAX_COUNT
        and 0 <= due <= MAX_DUE
    ):
        raise ParkedError(
            f"{parked} cannot be: offsets are 0 to {MAX_OFFSET}, attempts 1 and steps 0 to "
            f"{MAX_COUNT}, due times 0 to {MAX_DUE} ms"
        )


def _middle_due(heads: Mapping[int, ParkedKey]) -> int:
    dues = sorted(head.due for head in heads.values())
    return dues[len(dues) // 2]


def _front(base: int, gap: int) -> bytes:
    out = bytearray()
    append_varint(out, base)
    append_varint(out, gap)
    return bytes(out)


def _rest(heads: Mapping[int, ParkedKey], base: int) -> bytes:
    """Everything behind the first gap, the only part that the commit point changes."""
    out = bytearray()
    edge: int | None = None
    for offset in sorted(heads):
        if edge is not None:
            append_varint(out, offset - edge)
        _append_note(out, heads[offset], base)
        edge = offset + 1
    return bytes(out)


def _append_note(out: bytearray, head: ParkedKey, base: int) -> None:
    usual = head.step == head.attempt - 1
    append_varint(out, (head.attempt - 1) * 2 + (not usual))
    if not usual:
        append_varint(out, head.step)
    wait = head.due - base
    append_varint(out, wait * 2 if wait >= 0 else -wait * 2 - 1)


def _read_heads(data: bytes, at: int, base: int, commit_offset: int) -> Iterator[ParkedKey]:
    edge = commit_offset
    if at == len(data):
        raise ParkedError(f"the parked heads of offset {commit_offset} are a base time and no head")
    while at < len(data):
        gap, at = read_varint(data, at)
        head, at = _read_note(data, at, base, edge + gap)
        _check(head)
        yield head
        edge = head.offset + 1


def _read_note(data: bytes, at: int, base: int, offset: int) -> tuple[ParkedKey, int]:
    word, at = read_varint(data, at)
    attempt = (word >> 1) + 1
    step = attempt - 1
    if word & 1:
        step, at = read_varint(data, at)
        if step == attempt - 1:
            raise ParkedError(f"the note of offset {offset} gives a step that need not be given")
    wait, at = read_varint(data, at)
    due = base + (-(wait + 1 >> 1) if wait & 1 else wait >> 1)
    return ParkedKey(offset, attempt, step, due), at
