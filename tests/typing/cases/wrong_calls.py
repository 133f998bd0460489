"""Calling functions, declaring and submitting wrongly: both checkers refuse each marked line."""

from declared import Mail, fetch_image, post_mail, send_email, shop, thumbnail, verify_email

from headrace.pipeline import JobContext, Queue, Retry
from headrace.producers import Producer


async def call_the_functions_themselves(context: JobContext) -> None:
    await send_email("a@example.com")  # error: the context is missing
    await send_email(context, to=3)  # error: wrong type
    verify_email(context)  # error: missing
    text: str = await fetch_image("https://example.com")  # error: it gives bytes
    size: int = thumbnail("a.png")  # error: it gives a Size
    assert text
    assert size


def submit(producer: Producer) -> None:
    producer.submit(send_email)  # error: a type is no job
    producer.submit(send_email("a@example.com"))  # error: neither is a call
    producer.submit(thumbnail.job("a.png"), priority=1)  # error: wrong type
    producer.submit(thumbnail.job("a.png"), delay=5)  # error: a bare number has no unit
    producer.submit(thumbnail.job("a.png"), dely=None)  # error: unknown option
    producer.submit("mail.post", [1])  # error: arguments have names
    producer.submit_many(thumbnail.job("a.png"))  # error: many jobs are an iterable


def declare() -> None:
    shop.job("a.b", retry=3)  # error: a policy, no number
    shop.job("a.b", timeout=30)  # error: a bare number has no unit
    shop.job("a.b", que="media")  # error: unknown option
    shop.declare("a.b")  # error: without its arguments
    Retry(base=1.0)  # error: a bare number has no unit
    Queue("default", partitions="3")  # error: wrong type
    shop.job("a.b")(42)  # error: no function
    send_email.job("a@example.com").policy = None  # error: a job is frozen


@post_mail.handler  # error: another argument's type
def post(to: int, subject: str = "") -> None: ...


@shop.job("mail.count")
def count_mails(mails: list[Mail]) -> int:
    return len(mails)


count_mails.job([Mail("a@example.com"), "b@example.com"])  # error: one is no mail
