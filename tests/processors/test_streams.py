"""Apps for users' own streams: what their topics give, without a broker."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.pipeline import Pipeline, Queue
from headrace.pipeline.settings import KafkaSettings, StatisticsSettings, load
from headrace.processors import (
    JobArguments,
    PipelineApp,
    TransitionBatch,
    faust_app,
    job_of,
)
from headrace.processors.errors import StreamError
from headrace.schemas.transitions import Transition, encode_batch

SHOP = Pipeline("shop", queues=[Queue("default"), Queue("mail", priorities=("high", "low"))])


@SHOP.job("email.send")
def send(to: str, copies: int = 1) -> None: ...


@pytest.fixture
def app(tmp_path: Path) -> PipelineApp:
    kafka = load(KafkaSettings, bootstrap_servers="127.0.0.1:9,127.0.0.2:9")
    return faust_app(
        SHOP, "mine", kafka=kafka, settings=load(StatisticsSettings, stats_dir=tmp_path)
    )


def read(topic: Any, payload: bytes | None) -> Any:
    """Decode as Faust does."""
    return topic.app.serializers.loads_value(None, payload, serializer=topic.value_serializer)


def test_an_app_opens_no_port_and_has_a_group_of_its_own(app: PipelineApp) -> None:
    assert app.conf.id == "shop.mine"
    assert not app.conf.web_enabled
    assert [str(url) for url in app.conf.broker] == ["kafka://127.0.0.1:9", "kafka://127.0.0.2:9"]


def test_the_events_topic_gives_transitions(app: PipelineApp) -> None:
    told = Transition(
        "id", "email.send", "succeeded", "shop.default.normal", 0, 1, 1, 0, 0, 2, 1, "w"
    )
    batch = read(app.transitions_topic(), encode_batch([told]))
    assert isinstance(batch, TransitionBatch)
    assert list(batch) == [told]
    assert batch.problem == ""


def test_a_record_that_is_no_batch_says_so_and_raises_nothing(app: PipelineApp) -> None:
    batch = read(app.transitions_topic(), b"no batch")
    assert list(batch) == []
    assert batch.problem
    assert read(app.transitions_topic(), None) is None


def test_a_lane_gives_arguments_as_handlers_get_them(app: PipelineApp) -> None:
    codec = SHOP.job_types["email.send"].arguments
    payload = codec.encode(codec.bind(to="a@example.com"))
    value = read(app.jobs_topic("mail", "low"), payload)
    assert value == JobArguments({"to": "a@example.com", "copies": 1})
    assert read(app.jobs_topic("default"), b"no arguments").problem


def test_an_event_of_a_lane_tells_whose_it_is() -> None:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": b"0192f0c1-7b1a-7c3e-9f00-000000000001",
        "ce_type": b"email.send",
        "ce_source": b"/headrace/shop",
        "ce_time": b"2026-01-01T00:00:00Z",
        "ce_tenant": b"acme",
    }
    message = SimpleNamespace(headers=headers, topic="shop.mail.low", timestamp=1_700_000_000.0)
    job = job_of(SimpleNamespace(message=message))
    assert (job.job_type, job.tenant, job.lane) == ("email.send", "acme", "shop.mail.low")
    message.headers = list(headers.items())
    assert job_of(SimpleNamespace(message=message)) == job


def test_a_lane_that_is_not_declared_is_refused_with_those_that_are(app: PipelineApp) -> None:
    with pytest.raises(StreamError, match=r"mail\.urgent: its lanes are .*mail\.high, mail\.low"):
        app.jobs_topic("mail", "urgent")
    assert app.jobs_topic("mail").topics == ("shop.mail.low",)
