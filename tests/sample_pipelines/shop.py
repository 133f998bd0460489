"""A pipeline for the tests of commands; its name comes from the environment, so that each test has
topics of its own."""

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from headrace.pipeline import Pipeline, Queue, Retry

shop = Pipeline(
    os.environ.get("SHOP_NAME", "shop"),
    queues=[Queue("default", priorities=("high", "normal"), partitions=2)],
)


@shop.job("email.send", priority="high", retry=Retry(max_attempts=5, never=(ValueError,)))
def send_email(to: str, subject: str = "Hello", price: float | None = None) -> str:
    return f"{to}: {subject} {price}"


@shop.job("mark")
def mark(path: str, text: str = "ran") -> None:
    """Leave a trace that a test can wait for."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


@shop.job("slow", timeout=timedelta(minutes=2))
async def slow(path: str, seconds: float) -> None:
    """Tell that it began, and whether it came to its end."""
    mark(path, "began")
    await asyncio.sleep(seconds)
    mark(path, "ended")


@shop.job("stuck", timeout=timedelta(minutes=2))
def stuck(path: str, seconds: float) -> None:
    """Hold a thread, which nobody can stop."""
    mark(path, "began")
    time.sleep(seconds)


not_a_pipeline = 42
