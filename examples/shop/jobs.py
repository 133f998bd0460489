"""The shop's pipeline: three job types of the three usual kinds.

    headrace up examples.shop.jobs:shop
    headrace submit examples.shop.jobs:shop email.send '{"to": "ada@example.com", "subject": "Hi"}'

Mail waits for the network, so it is a coroutine. Pictures are work for the processor, so their
queue runs in child processes. Payments say what is worth another try, and what never is.
"""

from datetime import timedelta

from examples.shop import bank, mail, pictures
from headrace.pipeline import JobContext, Pipeline, Queue, Reject, Retry

PATIENT = Retry(
    max_attempts=8,
    base=timedelta(seconds=2),
    cap=timedelta(minutes=10),
    never=(bank.UnknownCardError,),
    per_exception={bank.BankBusyError: Retry(max_attempts=20, base=timedelta(seconds=30))},
)

shop = Pipeline(
    "shop",
    queues=[
        Queue("default"),
        Queue("media", pool="process", priorities=("normal", "low")),
        Queue("payments", priorities=("high",)),
    ],
)


@shop.job("email.send", priority="high", retry=Retry(max_attempts=5), timeout=timedelta(seconds=30))
async def send_email(context: JobContext, to: str, subject: str, body: str = "") -> str:
    """Send a mail; gives the id by which the mail server knows it."""
    if "@" not in to:
        raise Reject(f"{to!r} is no mail address")
    # The job's id stays the same in every attempt: whoever delivers can drop the second of two
    message_id = await mail.deliver(to, subject, body, message_id=context.id)
    context.log.info("mail delivered", to=to, message_id=message_id)
    return message_id


@shop.job("image.thumbnail", queue="media", timeout=timedelta(minutes=2))
def make_thumbnail(path: str, width: int = 320) -> pictures.Size:
    """Write a small copy of a PPM picture beside it; gives the copy's size."""
    return pictures.thumbnail(path, width)


@shop.job("payment.capture", queue="payments", retry=PATIENT, timeout=timedelta(seconds=45))
def capture_payment(context: JobContext, order: str, card: str, cents: int) -> str:
    """Take the money for an order; gives the bank's receipt."""
    if cents <= 0:
        raise Reject(f"order {order!r}: {cents} cents cannot be taken")
    # Running twice must not charge twice: the bank takes a reference once
    return bank.capture(card, cents, reference=context.id)
