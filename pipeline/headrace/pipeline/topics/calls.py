"""Kafka's admin API: bounded in time, many topics at once, errors that help."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing
from datetime import timedelta
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from headrace.pipeline.errors import TopicError
from headrace.pipeline.group_offsets import Committed, GroupOffsets, Place
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.kafka_faults import explain, kafka_error
from headrace.pipeline.settings import KafkaSettings

TIMEOUT: Final = timedelta(seconds=15)
"""For one call. Longer than a leader election, shorter than a person's patience."""
POLL_SECONDS: Final = 0.02
"""Between two looks at something that passes by itself."""
_T = TypeVar("_T")


class AdminCalls:
    """What reading and changing a cluster share. Thread-safe.

    Every method raises KafkaUnavailableError when there is no answer in time, RightsError when
    the user may not, and TopicError when Kafka refuses; each names the topic or group.
    """

    def __init__(self, kafka: KafkaSettings, timeout: timedelta = TIMEOUT) -> None:
        self.kafka = kafka
        self.admin = make_admin(kafka)
        self.seconds = timeout.total_seconds()

    @property
    def bound(self) -> Mapping[str, Any]:
        """The time limit, as the admin API takes it."""
        return {"request_timeout": self.seconds}

    def descriptions(self, topics: Iterable[str]) -> Mapping[str, Any]:
        """Describe those of the topics that exist, without their settings."""
        names = list(topics)
        if not names:
            return {}
        futures = self.admin.describe_topics(TopicCollection(names), **self.bound)
        found = {name: self._unless_missing(name, futures[name]) for name in names}
        return {name: topic for name, topic in found.items() if topic is not None}

    def result(self, doing: str, future: Future[_T], *, right: str | None = None) -> _T:
        """Wait for one answer.

        Args:
            doing: What was asked, for the error.
            future: The answer.
            right: What it takes, for the error.
        """
        try:
            return future.result()
        except KafkaException as error:
            raise explain(doing, kafka_error(error), self.kafka, right=right) from error

    def commits(
        self, wanted: Mapping[str, Collection[Place]]
    ) -> Mapping[str, Mapping[Place, Committed]]:
        """Read what groups have committed; a group that does not exist has nothing.

        Args:
            wanted: For each group the partitions to ask for.
        """
        with closing(GroupOffsets(self.kafka, self.seconds)) as offsets:
            answers = offsets.of_all(wanted)
        return {group: self._or_explain(group, answer) for group, answer in answers.items()}

    def _or_explain(
        self, group: str, answer: Mapping[Place, Committed] | KafkaException
    ) -> Mapping[Place, Committed]:
        if isinstance(answer, KafkaException):
            doing = f"reading offsets of group {group}"
            reason = kafka_error(answer)
            raise explain(doing, reason, self.kafka, right="DESCRIBE") from answer
        return answer

    def all_done(
        self,
        doing: str,
        futures: Mapping[str, Future[Any]],
        wait: Callable[[str, Future[Any]], None] = lambda _, future: future.result(),
    ) -> None:
        """Wait for all answers, then raise for all that failed: what can be done is done."""
        errors = []
        for name, future in futures.items():
            try:
                wait(name, future)
            except KafkaException as error:
                errors.append(explain(f"{doing} {name}", kafka_error(error), self.kafka))
        if errors:
            raise type(errors[0])("\n".join(str(error) for error in errors))

    def _unless_missing(self, topic: str, future: Future[_T]) -> _T | None:
        try:
            return future.result()
        except KafkaException as error:
            reason = kafka_error(error)
            if reason.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            doing = f"describing topic {topic}"
            raise explain(doing, reason, self.kafka, right="DESCRIBE") from error


def is_code(error: TopicError, *codes: int) -> bool:
    """Tell whether one of these is what Kafka answered."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and kafka_error(cause).code() in codes
