"""The command line of the demo."""

import argparse
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.pipeline.broker import DEFAULT_DIRECTORY
from headrace.schemas.errors import HeadraceError


class DemoError(HeadraceError):
    """The demo cannot go on: says why, and what to do next."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to audit and what to leave behind.

    Attributes:
        directory: The tree to audit.
        limit: Only the first so many files, by path.
        broker_directory: Where the embedded broker keeps its data; the logs go there too.
        keep_broker: Whether the broker is left running.
        json: Where the figures are written as JSON.
    """

    directory: Path
    limit: int | None = None
    broker_directory: Path = DEFAULT_DIRECTORY
    keep_broker: bool = False
    json: Path | None = None

    @property
    def logs(self) -> Path:
        """The folder of the processes' logs."""
        return self.broker_directory / "log"


def standard_library() -> Path:
    """Give the folder of the running Python's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; ends the process with exit code 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.source_audit",
        description="Measure every .py file of a tree through a real Kafka, and check the outcome.",
    )
    parser.add_argument(
        "--directory",
        type=_folder,
        default=standard_library(),
        help="the tree to audit (default: this Python's standard library)",
    )
    parser.add_argument("--limit", type=_positive, help="only the first so many files, by path")
    parser.add_argument(
        "--broker-directory",
        type=Path,
        default=DEFAULT_DIRECTORY,
        help="where the embedded Kafka keeps its data (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-broker", action="store_true", help="leave Kafka running when the demo ends"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return Options(**vars(parser.parse_args(arguments)))


def _folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return folder.resolve()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return int(text)
