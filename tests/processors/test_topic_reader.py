"""How patient a reader is, without a broker."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.processors import reader
from headrace.processors.reader import TopicReader
from headrace.processors.snapshot import LogSpan
from tests.processors.view_shop import kafka_settings


class Scripted(TopicReader):
    """Gets what a test says, poll by poll; an empty poll takes a second."""

    def __init__(self, polls: list[list[Any]], clock: SimpleNamespace) -> None:
        super().__init__(kafka_settings("127.0.0.1:1"))
        self._polls = polls
        self._clock = clock

    def _assign(self, spans: Any) -> None: ...

    def _some(self) -> list[Any]:
        found = self._polls.pop(0) if self._polls else []
        self._clock.now += 0 if found else 1
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(reader, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def record(offset: int) -> Any:
    return SimpleNamespace(
        topic=lambda: "t", partition=lambda: 0, offset=lambda: offset, error=lambda: None
    )


SPAN = LogSpan("t", 0, 0, 2)


def test_who_takes_his_time_with_a_record_is_not_told_that_kafka_is_silent(
    clock: SimpleNamespace,
) -> None:
    with Scripted([[record(0)], [], [record(1)]], clock) as read:
        taken = []
        for message in read.read([SPAN]):
            taken.append(message.offset())
            clock.now += 3_600
    assert taken == [0, 1]


def test_silence_is_an_error_after_a_while(clock: SimpleNamespace) -> None:
    with (
        Scripted([[record(0)]], clock) as read,
        pytest.raises(KafkaUnavailableError, match="nothing came for 15 s"),
    ):
        list(read.read([SPAN]))
