"""Reading records of the events topic, also when some of them cannot be understood."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import Message

from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.pipeline.transition_batches import BatchDecoder
from headrace.processors.sightings import as_bytes
from headrace.schemas import headers
from headrace.schemas.errors import UndecodableError, UnknownSchemaError
from headrace.schemas.transitions import Transition

_LOG = logging.getLogger("headrace.events")
_MOST_REASONS: Final = 100
"""Reasons that are told apart: junk can have as many as it has records."""
_MIN, _MAX = headers.MIN_TIME, headers.MAX_TIME
_LONGEST: Final = 500
"""Characters of a reason, which may repeat what a stranger wrote."""
_OTHER: Final = "for other reasons"


class BatchReader:
    """Decodes batches of transitions. What a stranger wrote is left out.

    So is what a newer version wrote whose schema nobody has published (`topics apply` does), and of
    its batches the transitions to states that this one does not know. Each cause is logged once,
    with the first record that it hit: a view with a gap is better than none, and a gap that nobody
    knows of is worse than both.

    Args:
        on_gap: Told of each record that is left out, or a part of it: where it lies, and why.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        on_gap: Callable[[str, str], None] | None = None,
    ) -> None:
        self._decoder = BatchDecoder(kafka, topology, self._note_state)
        self._told: set[str] = set()
        self._on_gap = on_gap
        self._unknown: list[str] = []

    def read(self, message: Message) -> Sequence[Transition]:
        """Give the transitions of one record; none when it cannot be understood."""
        found: Sequence[Transition] = ()
        try:
            found = self._decoder.decode(as_bytes(message.value()) or b"")
        except UndecodableError as error:
            self._tell(message, error.reason)
        except UnknownSchemaError as error:
            self._tell(message, str(error))
        while self._unknown:
            self._tell(message, _newer_state(self._unknown.pop()))
        if all(map(_is_sound, found)):
            return found
        self._tell(message, "a number or a time of a transition is out of any range")
        return [each for each in found if _is_sound(each)]

    def _note_state(self, state: str) -> None:
        self._unknown.append(state)

    def _tell(self, message: Message, reason: str) -> None:
        reason = reason[:_LONGEST]
        if reason not in self._told and len(self._told) >= _MOST_REASONS:
            reason = _OTHER
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        if self._on_gap is not None:
            self._on_gap(where, reason)
        if reason not in self._told:
            self._told.add(reason)
            _LOG.warning("%s is left out, and all records like it: %s", where, reason)


def _is_sound(told: Transition) -> bool:
    """Whether a transition can be put in order and shown: what a stranger wrote may be anything."""
    return (
        told.generation >= 0
        and told.step >= 0
        and told.attempt >= 0
        and _MIN <= told.time <= _MAX
        and _MIN <= told.created <= _MAX
        and (told.started is None or _MIN <= told.started <= _MAX)
        and (told.ended is None or _MIN <= told.ended <= _MAX)
        and (told.due is None or _MIN <= told.due <= _MAX)
    )


def _newer_state(state: str) -> str:
    return (
        f"it tells of the state {state!r}, which only a newer Headrace knows: upgrade what reads, and "
        "run `headrace processors rebuild` then"
    )
