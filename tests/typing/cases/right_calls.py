"""Everything here is right: neither checker may complain about it."""

from typing import Any, assert_type

from declared import (
    Mail,
    Size,
    count_stock,
    fetch_image,
    move_stock,
    post_mail,
    send_email,
    shop,
    thumbnail,
    verify_email,
)

from headrace.pipeline import Job, JobContext
from headrace.producers import Producer, Receipt

assert_type(send_email.job("a@example.com"), Job[str])
assert_type(send_email.job(to="a@example.com", subject="Hi"), Job[str])
assert_type(verify_email.job(address="a@example.com"), Job[bool])
assert_type(fetch_image.job("https://example.com"), Job[bytes])
assert_type(thumbnail.job("a.png", width=64), Job[Size])
assert_type(count_stock.job(), Job[None])
assert_type(move_stock.job(item="tea", count=3), Job[int])

post_mail.job(to="a@example.com")
post_mail.job("a@example.com", subject="Hi")

assert_type(thumbnail("a.png"), Size)
assert_type(thumbnail("a.png", 64), Size)


async def call_the_functions_themselves(context: JobContext) -> None:
    assert_type(await send_email(context, "a@example.com", subject="Hi"), str)
    assert_type(verify_email(context, "a@example.com"), bool)
    assert_type(await fetch_image("https://example.com"), bytes)


@post_mail.handler
def post(context: JobContext, to: str, subject: str = "") -> str:
    return f"{to} {subject}"


def the_attached_function_is_still_itself(context: JobContext) -> None:
    assert_type(post(context, "a@example.com"), str)


async def submit(producer: Producer) -> None:
    assert_type(producer.submit(send_email.job("a@example.com"), priority="high"), Receipt[str])
    assert_type(producer.submit("mail.post", {"to": "a@example.com"}), Receipt[Any])
    assert_type(producer.submit_many(thumbnail.job(p) for p in ("a", "b")), list[Receipt[Size]])
    assert_type(producer.submit(send_email.job("a@example.com")).result(timeout=5), str)
    assert_type(await producer.submit(thumbnail.job("a")).result_async(), Size)
    await producer.submit(count_stock.job())


def a_job_of_a_narrower_result_is_a_job_of_a_wider_one() -> Job[object]:
    return thumbnail.job("a.png")


def child_jobs(context: JobContext) -> str:
    return context.submit(send_email.job("a@example.com"), tenant="acme").job_id


@shop.job("mail.list")
async def list_mails(mails: list[Mail], limit: int | None = None) -> dict[str, int]:
    return {mail.to: limit or 0 for mail in mails}


assert_type(list_mails.job([Mail("a@example.com")], limit=None), Job[dict[str, int]])
