"""Decoding batches of transitions, also those that a newer version wrote."""

from collections.abc import Callable, Sequence
from typing import Final

from headrace.pipeline.published_decoder import PublishedDecoder
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, decode_batch

_STATES: Final = frozenset(JobState)


class BatchDecoder(PublishedDecoder[Sequence[Transition]]):
    """Decodes batches of transitions as of `PublishedDecoder`.

    A transition to a state that only a newer version knows is passed over: it cannot be put in order
    with the others, and the job is shown in its last state that is known.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
        on_unknown_state: Told of each state that is passed over, once for a batch.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topology: Topology,
        on_unknown_state: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(kafka, topology, decode_batch)
        self._on_unknown_state = on_unknown_state

    def decode(self, payload: bytes) -> Sequence[Transition]:
        """Give the transitions of one batch, those to known states; raises as its base does."""
        found = super().decode(payload)
        if all(each.state in _STATES for each in found):
            return found
        if self._on_unknown_state is not None:
            for state in sorted({each.state for each in found} - _STATES):
                self._on_unknown_state(state)
        return [each for each in found if each.state in _STATES]
