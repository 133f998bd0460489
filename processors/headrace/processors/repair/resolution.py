"""Which replayed jobs have succeeded since, as transitions tell."""

from collections.abc import Iterable, Mapping

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.batches import BatchReader
from headrace.processors.job_history import require
from headrace.processors.reader import Progress, TopicReader
from headrace.processors.repair.letter_states import LetterMark, LetterState
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster
from headrace.schemas.states import JobState


def succeeded_generations(
    pipeline: Pipeline,
    kafka: KafkaSettings,
    marks: Iterable[LetterMark],
    progress: Progress | None = None,
) -> Mapping[str, int]:
    """Give the last generation in which each replayed job succeeded, by job id.

    Reads the events topic since the first of the replays; nothing when nothing was replayed. Jobs
    that have not succeeded, or of which no transition is kept any more, are left out.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        TopicError: The events topic does not exist or may not be read.
    """
    replayed = [mark for mark in marks if mark.state is LetterState.REPLAYED]
    if not replayed:
        return {}
    jobs = {mark.job for mark in replayed}
    cluster = Cluster(kafka)
    snapshot = cluster.snapshot(pipeline, (Role.EVENTS,))
    require(snapshot, pipeline.topology.events)
    since = min(mark.at for mark in replayed) - CLOCK_MARGIN
    succeeded: dict[str, int] = {}
    batches = BatchReader(kafka, pipeline.topology)
    with TopicReader(kafka, progress) as reader:
        for message in reader.read(cluster.since(snapshot.of((Role.EVENTS,)), since)):
            for each in batches.read(message):
                if each.state == JobState.SUCCEEDED and each.job_id in jobs:
                    known = succeeded.get(each.job_id, -1)
                    succeeded[each.job_id] = max(known, each.generation)
    return succeeded
