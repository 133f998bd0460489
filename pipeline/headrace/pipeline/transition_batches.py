"""Decoding batches of transitions, also those that a newer version wrote."""

from collections.abc import Sequence

from headrace.pipeline.published_decoder import PublishedDecoder
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topology import Topology
from headrace.schemas.transitions import Transition, decode_batch


class BatchDecoder(PublishedDecoder[Sequence[Transition]]):
    """Decodes batches of transitions as of `PublishedDecoder`.

    Args:
        kafka: Where Kafka is.
        topology: Of the pipeline.
    """

    def __init__(self, kafka: KafkaSettings, topology: Topology) -> None:
        super().__init__(kafka, topology, decode_batch)
