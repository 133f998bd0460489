"""The command line of the story."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace.schemas.errors import HeadraceError

PARTS: Final = 10
"""Of so many jobs, five die of the release, four of the carrier, one of its data."""


class StoryError(HeadraceError):
    """The story cannot go on: says what was expected, and what was found."""


@dataclass(frozen=True, slots=True)
class Options:
    """How large the incident is.

    Attributes:
        jobs: How many jobs die; a multiple of ten.
        rate: Letters a second that are replayed.
        bootstrap: A Kafka that runs; a broker of the story's own when None.
        json: Where the account is written as JSON.
    """

    jobs: int = 10_000
    rate: int = 500
    bootstrap: str | None = None
    json: Path | None = None


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; ends the process with exit code 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.incident",
        description="A bad deploy, its dead letters and their repair, on a real Kafka.",
    )
    parser.add_argument("--jobs", type=_jobs, default=10_000, help="how many jobs die")
    parser.add_argument("--rate", type=int, default=500, help="replayed letters a second")
    parser.add_argument("--bootstrap", help="HOST:PORT of a Kafka; else one is started")
    parser.add_argument("--json", type=Path, help="write the account to this file")
    given = parser.parse_args(arguments)
    return Options(given.jobs, given.rate, given.bootstrap, given.json)


def _jobs(text: str) -> int:
    count = int(text)
    if count < PARTS or count % PARTS:
        raise argparse.ArgumentTypeError(f"{text}: give a multiple of {PARTS}")
    return count
