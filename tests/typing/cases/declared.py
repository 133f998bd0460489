"""A pipeline as a user declares it; the other cases call into it."""

from dataclasses import dataclass
from datetime import timedelta

from headrace.pipeline import JobContext, Pipeline, Queue, Retry

shop = Pipeline("shop", queues=[Queue("default"), Queue("media", pool="process")])


@dataclass(frozen=True)
class Size:
    width: int
    height: int


@dataclass(frozen=True)
class Mail:
    to: str
    subject: str = ""


@shop.job("email.send", retry=Retry(max_attempts=5), timeout=timedelta(seconds=30))
async def send_email(context: JobContext, to: str, subject: str = "") -> str:
    return f"{context.id} {to} {subject}"


@shop.job("email.verify")
def verify_email(context: JobContext, address: str) -> bool:
    return context.attempt > 1 and "@" in address


@shop.job("image.fetch", queue="media")
async def fetch_image(url: str) -> bytes:
    return url.encode()


@shop.job("image.thumbnail", queue="media")
def thumbnail(path: str, width: int = 320) -> Size:
    return Size(width, len(path))


@shop.job("stock.count")
def count_stock() -> None: ...


@shop.job("stock.move")
def move_stock(*, item: str, count: int) -> int:
    return count


post_mail = shop.declare("mail.post", Mail)
