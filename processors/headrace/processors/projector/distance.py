"""How far the store is behind the stream."""

from collections import Counter

from sqlalchemy import Engine

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.projector.stream import READ
from headrace.processors.snapshot import Cluster
from headrace.processors.store.editions import Edition
from headrace.processors.store.writing import Writer


def behind(
    engine: Engine, edition: Edition, pipeline: Pipeline, kafka: KafkaSettings
) -> dict[str, int]:
    """Offsets of each topic that the edition has not read. Errors as of `Cluster` and `told`."""
    positions = Writer(engine, edition, "").positions()
    spans = Cluster(kafka).snapshot(pipeline, READ).spans
    late: Counter[str] = Counter()
    for place, span in spans.items():
        late[span.topic] += max(0, span.end - max(span.start, positions.get(place, span.start)))
    return dict(sorted(late.items()))
