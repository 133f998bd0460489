"""The processes of the story: workers of a release, and `headrace` commands as people type them."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from examples.incident.jobs import EFFECTS, RELEASE
from examples.incident.options import StoryError
from examples.source_audit.display import Display

REFERENCE: Final = "examples.incident.jobs:incident"
ROOT: Final = Path(__file__).parents[2]
_STOP_SECONDS: Final = 40
_COMMAND_SECONDS: Final = 300


class Crew:
    """Starts processes, and shows the commands with what they print.

    Args:
        bootstrap: Where Kafka is.
        folder: For logs, and the file of effects.
        display: Where everything is shown.
    """

    def __init__(self, bootstrap: str, folder: Path, display: Display) -> None:
        self._folder = folder
        self._display = display
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        self._environment = kept | {
            "HEADRACE_BOOTSTRAP_SERVERS": bootstrap,
            "HEADRACE_PIPELINE": REFERENCE,
            "HEADRACE_LOG_LEVEL": "warning",
            EFFECTS: str(self.effects),
        }

    @property
    def effects(self) -> Path:
        """The file with a line for each time that a job did its work."""
        return self._folder / "effects"

    @contextmanager
    def worker(self, release: str) -> Iterator[None]:
        """Run a worker of a release for the length of the block; it ends in order."""
        log = self._folder / f"worker-{release}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - our own command
                _command("worker", "--concurrency", "32"),
                cwd=ROOT,
                env=self._environment | {RELEASE: release},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            finally:
                process.kill()
                process.wait()

    def headrace(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a command, show it with what it prints, and give what it printed on stdout.

        Raises:
            StoryError: It ended with another exit code.
        """
        self._show(words)
        done = subprocess.run(  # noqa: S603 - our own command, words of ours
            _command(*words),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        for line in (done.stderr + done.stdout).splitlines():
            self._display.note(f"  {line}", "dim")
        if done.returncode not in codes:
            raise StoryError(
                f"`headrace {shlex.join(words)}` ended with exit code {done.returncode}, expected "
                f"{' or '.join(map(str, codes))}"
            )
        return done.stdout

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """Begin a command that will be killed."""
        self._show(words)
        with (self._folder / "replay.log").open("ab") as file:
            return subprocess.Popen(  # noqa: S603 - as above
                _command(*words),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def _show(self, words: tuple[str, ...]) -> None:
        self._display.note(f"$ headrace {shlex.join(words)}", "bold")


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "headrace", *words]
