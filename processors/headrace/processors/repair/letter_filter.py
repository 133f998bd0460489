"""Which dead letters are meant: the same conditions for listing, replaying, discarding, exporting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from headrace.processors.dead_letter import DeadLetter
from headrace.processors.repair.letter_states import LetterState
from headrace.schemas import headers

_OPEN: Final = (LetterState.OPEN,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Conditions that a letter must meet, all of them. An empty one lets everything through.

    Of a condition with several values one must fit. Times are in epoch milliseconds.

    Attributes:
        job_types: The job's type.
        queues: The queue whose dead letter it is.
        reasons: One of `DeadReason`.
        errors: The exception's class, by the name that the list shows.
        text: A part of the error's message, of the traceback, or of a text in the arguments;
            upper and lower case are the same. Arguments are searched as bytes, not decoded, so
            numbers and times are not found.
        tenants: On whose behalf the job is.
        keys: The job's ordering key.
        fingerprints: The first characters of the error's fingerprint.
        since: Died at or after.
        until: Died before.
        min_generation: Replayed at least so often.
        max_generation: Replayed at most so often.
        states: What has become of it: open ones when not given, any when empty.
        ids: The job's id.
    """

    job_types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    text: str = ""
    tenants: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    min_generation: int | None = None
    max_generation: int | None = None
    states: tuple[LetterState, ...] = _OPEN
    ids: tuple[str, ...] = ()

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter meets all conditions."""
        return (
            _one_of(self.states, letter.state)
            and _one_of(self.queues, letter.queue)
            and _one_of(self.ids, letter.job_id)
            and _one_of(self.job_types, letter.job_type)
            and _one_of(self.reasons, letter.reason)
            and _one_of(self.errors, letter.error_type)
            and _one_of(self.tenants, letter.tenant)
            and _one_of(self.keys, letter.key)
            and _within(letter.died, self.since, None if self.until is None else self.until - 1)
            and _within(letter.generation, self.min_generation, self.max_generation)
            and self._has_fingerprint(letter)
            and self._has_text(letter)
        )

    def admission(self) -> Callable[[Mapping[str, bytes | None]], bool]:
        """Give a quick look at a record's headers: False for what can't meet the conditions.

        For readers of many letters: it saves understanding those that are not meant.
        """
        wanted = {
            name: frozenset(value.encode() for value in values)
            for name, values in (
                (headers.TYPE, self.job_types),
                (headers.REASON, self.reasons),
                (headers.ERROR_TYPE, self.errors),
                (headers.TENANT, self.tenants),
            )
            if values and "" not in values
        }
        if not wanted:
            return lambda _: True
        return lambda raw: all(raw.get(name) in values for name, values in wanted.items())

    def as_json(self) -> dict[str, Any]:
        """Give the conditions that are set; keys are the attributes' names."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        found["states"] = [state.value for state in self.states]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value not in (None, (), "")
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `as_json` gave. Unknown keys are an error: a condition must not be dropped.

        Raises:
            TypeError: A key is no condition.
            ValueError: A state is none.
        """
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        if "states" in values:
            values["states"] = tuple(LetterState(state) for state in values["states"])
        return cls(**values)

    def _has_fingerprint(self, letter: DeadLetter) -> bool:
        if not self.fingerprints:
            return True
        return letter.fingerprint.id.startswith(tuple(each.lower() for each in self.fingerprints))

    def _has_text(self, letter: DeadLetter) -> bool:
        if not self.text:
            return True
        text = self.text.casefold()
        return (
            text in letter.error_message.casefold()
            or text in letter.traceback.casefold()
            or text in (letter.payload or b"").decode(errors="replace").casefold()
        )


ANY_LETTER: Final = LetterFilter(states=())
OPEN_LETTERS: Final = LetterFilter()


def _one_of(wanted: tuple[Any, ...], found: object) -> bool:
    return not wanted or found in wanted


def _within(value: int, least: int | None, most: int | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)
