"""Finding dead letters: the newest, all, or one, by any conditions."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import heappush, heappushpop
from typing import Final

from confluent_kafka import Message

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.topics import Role
from headrace.processors.dead_letter import DeadLetter, letter_of
from headrace.processors.errors import NotFoundError
from headrace.processors.job_history import require
from headrace.processors.job_search import created_in
from headrace.processors.payloads import Payload, PayloadReader
from headrace.processors.reader import Progress, TailReader, TopicReader
from headrace.processors.repair.letter_filter import ANY_LETTER, OPEN_LETTERS, LetterFilter
from headrace.processors.repair.letter_states import LetterMark, LetterState, read_marks, state_of
from headrace.processors.repair.raw_records import raw_record
from headrace.processors.repair.resolution import succeeded_generations
from headrace.processors.sightings import headers_of, sight
from headrace.processors.snapshot import CLOCK_MARGIN, Cluster, LogSpan

_FIRST_WINDOW: Final = 100
_DEAD: Final = Role.DEAD_LETTERS
_REPLAYED: Final = frozenset({LetterState.REPLAYED, LetterState.RESOLVED})
_PREFETCH: Final = {"queued.max.messages.kbytes": 16_384, "queued.min.messages": 10_000}
"""Letters are large: by default the client would hold 64 MiB of them for each partition."""
Take = Callable[[Message], DeadLetter | None]


class DeadLetters:
    """The dead letters of a pipeline, those of finished transactions only.

    Each call looks anew at what was done about them. Every method raises KafkaUnavailableError when
    Kafka gives no answer in time, TopicError when it refuses, and SettingsError for a queue that
    the pipeline does not declare.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, progress: Progress | None = None
    ) -> None:
        self._pipeline = pipeline
        self._kafka = kafka
        self._progress = progress
        self._cluster = Cluster(kafka)
        self._queues = {pipeline.topology.dead_letters(queue): queue for queue in pipeline.queues}

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that are read."""
        return tuple(self._queues)

    def newest(self, wanted: LetterFilter = OPEN_LETTERS, limit: int = 20) -> list[DeadLetter]:
        """List letters that meet the conditions, those first that died last.

        Reads backwards, no more than that takes, and holds no more than `limit` of them.
        """
        spans, take = self._spans(wanted.queues), self._taker(wanted)
        last = _Last(limit)
        with TopicReader(self._kafka, self._progress, **_PREFETCH) as reader:
            tail = TailReader(reader, spans, lambda _: _FIRST_WINDOW)
            while not (tail.exhausted or last.is_certain(tail.horizon)):
                for message in tail.more():
                    letter = take(message)
                    if letter is not None:
                        last.add(letter)
        return last.newest_first()

    def select(self, wanted: LetterFilter = OPEN_LETTERS) -> Iterator[DeadLetter]:
        """Give every letter that meets the conditions: in order within each partition."""
        spans, take = self._spans(wanted.queues), self._taker(wanted)
        return self._letters(spans, take)

    def of_job(self, job_id: str) -> list[DeadLetter]:
        """Give all letters of a job, the first first: one for each time that it died."""
        made = created_in(job_id)
        spans = self._spans(())
        if made is not None:
            spans = self._cluster.since(spans, made - CLOCK_MARGIN)
        take = self._taker(replace(ANY_LETTER, ids=(job_id,)))
        return sorted(self._letters(spans, take), key=lambda each: (each.generation, each.died))

    def find(self, job_id: str) -> DeadLetter | None:
        """Find the last dead letter of a job; None when there is none."""
        found = self.of_job(job_id)
        return found[-1] if found else None

    def of_job_or_error(self, job_id: str) -> list[DeadLetter]:
        """As `of_job`, at least one.

        Raises:
            NotFoundError: The job has none.
        """
        found = self.of_job(job_id)
        if not found:
            raise NotFoundError(
                f"job {job_id} has no dead letter on {', '.join(self.topics)} (they are kept for "
                "HEADRACE_DLQ_RETENTION); `headrace jobs show` tells where a job is"
            )
        return found

    def arguments(self, letter: DeadLetter) -> Payload:
        """Decode what the job was submitted with, by its writer's schema, or dump it."""
        reader = PayloadReader(self._pipeline, self._kafka)
        return reader.written(letter.job_type, letter.payload, letter.record.headers)

    def _letters(self, spans: Iterable[LogSpan], take: Take) -> Iterator[DeadLetter]:
        with TopicReader(self._kafka, self._progress, **_PREFETCH) as reader:
            for message in reader.read(spans):
                letter = take(message)
                if letter is not None:
                    yield letter

    def _spans(self, queues: Iterable[str]) -> list[LogSpan]:
        asked = tuple(queues)
        for queue in asked:
            if queue not in self._pipeline.queues:
                raise SettingsError(
                    f"pipeline {self._pipeline.name!r} declares no queue {queue!r} (declared: "
                    f"{', '.join(self._pipeline.queues)})"
                )
        snapshot = self._cluster.snapshot(self._pipeline, (_DEAD,))
        topics = [topic for topic, name in self._queues.items() if not asked or name in asked]
        for topic in topics:
            require(snapshot, topic)
        return [span for span in snapshot.of((_DEAD,)) if span.topic in topics]

    def _taker(self, wanted: LetterFilter) -> Take:
        """Make what turns a record into a letter with its state, or leaves it out.

        What costs least is looked at first: at 100,000 letters, most of them not meant, it counts.
        """
        admits = wanted.admission()
        marks = read_marks(self._kafka, self._pipeline.topology)
        succeeded = self._succeeded(wanted, marks)

        def take(message: Message) -> DeadLetter | None:
            raw = headers_of(message)
            if not admits(raw):
                return None
            place = f"{message.topic()}/{message.partition()}/{message.offset()}"
            mark = marks.get(place)
            state = state_of(mark, succeeded)
            if wanted.states and state not in wanted.states:
                return None
            queue = self._queues[message.topic() or ""]
            letter = letter_of(sight(message, _DEAD), raw_record(message), queue)
            letter = replace(letter, state=state, mark=mark) if mark is not None else letter
            return letter if wanted.matches(letter) else None

        return take

    def _succeeded(
        self, wanted: LetterFilter, marks: Mapping[str, LetterMark]
    ) -> Mapping[str, int]:
        """Read what replayed jobs came to, unless nobody asks for it."""
        if wanted.states and not _REPLAYED.intersection(wanted.states):
            return {}
        asked = (mark for mark in marks.values() if not wanted.ids or mark.job in wanted.ids)
        return succeeded_generations(self._pipeline, self._kafka, asked, self._progress)


class _Last:
    """Of all letters that it is given, those that died last."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, int, DeadLetter]] = []
        self._count = 0

    def add(self, letter: DeadLetter) -> None:
        self._count += 1
        entry = (letter.died, self._count, letter)
        if len(self._heap) < self._limit:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)

    def is_certain(self, horizon: int) -> bool:
        """Whether nothing that was appended before a time can belong to them."""
        return len(self._heap) == self._limit and self._heap[0][0] >= horizon

    def newest_first(self) -> list[DeadLetter]:
        return [letter for _, _, letter in sorted(self._heap, reverse=True, key=lambda e: e[:2])]
