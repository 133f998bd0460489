"""The shop of the examples: what its handlers do with good and bad input."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.shop import bank, pictures
from examples.shop.jobs import capture_payment, make_thumbnail, send_email, shop
from headrace.pipeline import JobContext, Reject
from headrace.pipeline.retry import qualified_names


def context(job_type: str) -> JobContext:
    now = datetime.now(UTC)
    until = now + timedelta(minutes=1)
    return JobContext("job-1", job_type, 1, "default", "high", None, "job-1", now, until)


def picture(path: Path, width: int, height: int) -> Path:
    """Black on its left half, white on its right."""
    row = b"\x00\x00\x00" * (width // 2) + b"\xff\xff\xff" * (width - width // 2)
    pictures.write(path, pictures.Picture(pictures.Size(width, height), row * height))
    return path


def test_a_thumbnail_keeps_proportions_and_colours(tmp_path: Path) -> None:
    source = picture(tmp_path / "wide.ppm", 64, 32)
    assert make_thumbnail(str(source), 4) == pictures.Size(4, 2)
    small = pictures.read(tmp_path / "wide.thumb.ppm")
    assert small.pixels == (b"\x00" * 6 + b"\xff" * 6) * 2


def test_a_picture_that_is_small_enough_stays_as_it_is(tmp_path: Path) -> None:
    source = picture(tmp_path / "tiny.ppm", 6, 3)
    assert make_thumbnail(str(source)) == pictures.Size(6, 3)
    assert (tmp_path / "tiny.thumb.ppm").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"P6 2 2 255 abc", b"P6 1 1 65535 abcdef"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.ppm"
    path.write_bytes(content)
    with pytest.raises(pictures.PictureError, match=r"bad\.ppm"):
        make_thumbnail(str(path))


def test_a_busy_bank_is_asked_more_often_than_a_broken_line_and_an_unknown_card_never() -> None:
    retry = shop.job_types["payment.capture"].policy.retry
    assert retry is not None
    busy = retry.policy_for(qualified_names(bank.BankBusyError()))
    broken = retry.policy_for(qualified_names(bank.LineBrokenError()))
    assert (busy.max_attempts, broken.max_attempts) == (20, 8)
    assert bank.UnknownCardError in retry.never


def test_each_job_type_is_of_another_kind() -> None:
    kinds = {
        name: (str(shop.queues[job_type.policy.queue].pool), job_type.is_async)
        for name, job_type in shop.job_types.items()
    }
    assert kinds == {
        "email.send": ("default", True),
        "image.thumbnail": ("process", False),
        "payment.capture": ("default", False),
    }


def test_a_mail_carries_the_jobs_id_and_a_bad_address_is_rejected() -> None:
    mail = context("email.send")
    assert asyncio.run(send_email(mail, "ada@example.com", "Hello")) == "<job-1@shop.example>"
    with pytest.raises(Reject, match="nobody"):
        asyncio.run(send_email(mail, "nobody", "Hello"))


def test_a_second_attempt_at_a_payment_gives_the_receipt_of_the_first() -> None:
    payment = context("payment.capture")
    first = capture_payment(payment, "order-1", "4000", 1250)
    assert capture_payment(payment, "order-1", "4000", 1250) == first
    with pytest.raises(Reject, match="order-2"):
        capture_payment(payment, "order-2", "4000", 0)
