"""The real command line, as processes of their own, against the real broker."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOP = "tests.sample_pipelines.shop:shop"
PATIENCE = 60.0


def eventually(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


@dataclass
class Running:
    """A command that runs until it is told to stop."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text()

    def says(self, what: str, times: int = 1) -> None:
        eventually(f"{what!r} in:\n{self.text()}", lambda: self.text().count(what) >= times)

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        return self.process.wait(timeout=PATIENCE)

    def children(self, name: str) -> list[int]:
        """The pids of the children of that name, in the order in which they were started."""
        started = re.findall(rf"child started .*child='{name} \d+' pid=(\d+)", self.text())
        return [int(pid) for pid in started]

    def get(self, path: str) -> tuple[int, str]:
        """Ask the process's own port."""
        self.says("health and metrics at")
        found = re.search(r"health and metrics at (http://\S+)", self.text())
        assert found is not None
        try:
            with urllib.request.urlopen(found[1] + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def is_ready(self) -> bool:
        return self.get("/health/ready")[0] == 200


@dataclass
class CommandLine:
    """`headrace …` in the project's folder, with an environment of the test's own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[Running] = field(default_factory=list)

    def __call__(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "headrace", *arguments],
            cwd=ROOT,
            env={**self.environment, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ok(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        done = self(*arguments, env=env)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Running:
        log = self.folder / f"{arguments[0]}-{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "headrace", *arguments],
                cwd=ROOT,
                env={**self.environment, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def end_all(self) -> None:
        for running in self.started:
            if running.process.poll() is None:
                running.signal()
                running.signal()
            try:
                running.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()


def clean_environment() -> dict[str, str]:
    keep = ("HEADRACE_CACHE_DIR",)
    return {
        name: value
        for name, value in os.environ.items()
        if name in keep or not name.startswith("HEADRACE_")
    } | {"PYTHONWARNINGS": "default"}


@pytest.fixture
def headrace(tmp_path: Path, unique_name: str) -> Iterator[CommandLine]:
    """The command without a broker; `tests.sample_pipelines.shop` is named after the test."""
    command = CommandLine(tmp_path, clean_environment() | {"SHOP_NAME": unique_name})
    yield command
    command.end_all()


@pytest.fixture
def on_kafka(headrace: CommandLine, kafka: str) -> CommandLine:
    """The command with a broker, without topics."""
    headrace.environment |= {"HEADRACE_BOOTSTRAP_SERVERS": kafka, "HEADRACE_PIPELINE": SHOP}
    return headrace


@pytest.fixture
def shop(on_kafka: CommandLine) -> CommandLine:
    """The command with a broker and the topics of the sample pipeline."""
    on_kafka.ok("topics", "apply")
    return on_kafka
