"""The producer that sends nothing, as somebody uses it who tests code that submits jobs."""

import asyncio
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.pipeline import Pipeline, Queue, UnknownJobTypeError
from headrace.producers import Producer, SubmitError
from headrace.schemas.errors import ArgumentError
from headrace.testing import RecordingProducer, Submission

shop = Pipeline("shop", queues=[Queue("default"), Queue("media", ("low",))])


@shop.job("mail.send", priority="high")
def send(to: str, tags: list[str], subject: str = "") -> None: ...


@shop.job("image.crop", queue="media")
def crop(path: str) -> None: ...


@pytest.fixture
def producer() -> RecordingProducer:
    return RecordingProducer(shop)


@pytest.mark.parametrize("method", ["submit", "submit_many", "flush", "close"])
def test_it_is_called_just_as_a_producer_is(method: str) -> None:
    real, recording = getattr(Producer, method), getattr(RecordingProducer, method)
    # As texts: each has a type variable of its own.
    assert str(inspect.signature(recording)) == str(inspect.signature(real))


def test_a_submission_says_type_arguments_options_and_lane(producer: RecordingProducer) -> None:
    receipt = producer.submit(send.job("x", ["a"]), delay=timedelta(minutes=5), tenant="acme")
    (found,) = producer.submitted
    assert (found.job_type, found.lane, found.job_id) == (
        "mail.send",
        "shop.default.high",
        receipt.job_id,
    )
    assert dict(found.arguments) == {"to": "x", "tags": ["a"], "subject": ""}
    assert (found.options.delay, found.options.tenant) == (timedelta(minutes=5), "acme")


def test_a_submission_cannot_be_changed(producer: RecordingProducer) -> None:
    producer.submit(crop.job("a"))
    with pytest.raises(AttributeError):
        producer.submitted[0].job_id = "2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        producer.submitted[0].arguments["path"] = "b"  # type: ignore[index]


def test_a_submission_is_found_by_some_of_its_arguments(producer: RecordingProducer) -> None:
    producer.submit(send.job("x", ["a"], subject="Hi"))
    producer.submit(send.job("y", []))
    assert producer.assert_submitted(send, to="x", tags=["a"]).arguments["subject"] == "Hi"
    assert isinstance(producer.assert_submitted("mail.send", to="y"), Submission)
    assert len(producer.of(send)) == 2
    producer.assert_not_submitted(crop)
    producer.assert_not_submitted(send, to="z")


def test_a_missing_submission_is_told_with_what_was_submitted_instead(
    producer: RecordingProducer,
) -> None:
    producer.submit(crop.job("a.png"))
    with pytest.raises(AssertionError, match=r"crop\(path='b'\), found 0.*crop\(path='a\.png'\)"):
        producer.assert_submitted(crop, path="b")


def test_two_submissions_where_one_is_expected_are_an_error(producer: RecordingProducer) -> None:
    producer.submit_many([crop.job("a"), crop.job("a")], key="k")
    with pytest.raises(AssertionError, match="found 2"):
        producer.assert_submitted(crop, path="a")
    with pytest.raises(AssertionError, match=r"expected no submission of image\.crop"):
        producer.assert_not_submitted(crop)
    producer.clear()
    producer.assert_not_submitted(crop)


def test_submitting_by_name_checks_the_arguments(producer: RecordingProducer) -> None:
    producer.submit("image.crop", {"path": "a"})
    producer.assert_submitted(crop, path="a")
    with pytest.raises(ArgumentError, match="path"):
        producer.submit("image.crop", {})
    with pytest.raises(UnknownJobTypeError, match=r"image\.turn"):
        producer.submit("image.turn", {})


@pytest.mark.parametrize(
    "options",
    [
        {"priority": "high"},
        {"delay": timedelta(seconds=-1)},
        {"at": datetime(2030, 1, 1)},  # noqa: DTZ001 - without a time zone, on purpose
        {"delay": timedelta(1), "at": datetime.now(UTC)},
        {"expires": timedelta()},
        {"key": ""},
        {"dedup_key": ""},
    ],
)
def test_an_option_that_a_producer_refuses_is_refused(
    producer: RecordingProducer, options: dict[str, Any]
) -> None:
    with pytest.raises(SubmitError):
        producer.submit(crop.job("a"), **options)
    assert not producer.submitted


def test_the_same_dedup_key_gives_the_same_job_id(producer: RecordingProducer) -> None:
    ids = {producer.submit(crop.job("a"), dedup_key="order-17").job_id for _ in range(3)}
    assert len(ids) == 1


def test_its_receipts_are_confirmed_at_once(producer: RecordingProducer) -> None:
    with producer:
        receipt = producer.submit(crop.job("a"))
    assert receipt.confirmed
    assert receipt.confirm(timeout=0).topic == "shop.media.low"

    async def wait() -> str:
        return (await receipt).topic

    assert asyncio.run(wait()) == "shop.media.low"
