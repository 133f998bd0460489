"""A pipeline whose jobs end when the test says so."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from headrace.pipeline import Pipeline, Queue

gated = Pipeline(
    os.environ.get("GATED_NAME", "gated"),
    queues=[Queue("default", priorities=("normal",), partitions=3)],
)


@gated.job("pass", timeout=timedelta(minutes=5))
async def wait_at(gate: str, mark: str) -> None:
    """Tell that it began, wait until the gate is a file, and tell that it ended."""
    _note(mark, "began")
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.05)
    _note(mark, "ended")


def _note(mark: str, what: str) -> None:
    with Path(mark).open("a") as file:
        file.write(f"{what}\n")
