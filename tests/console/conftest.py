"""The real command line, as processes of their own, against the real broker."""

import contextlib
import os
import re
import runpy
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.pipeline.settings import KafkaSettings, TopicSettings
from headrace.pipeline.topics import apply_plan, plan_topics
from tests.processors.test_job_history import Lived

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
            for number, seconds in ((signal.SIGTERM, 1), (signal.SIGTERM, 15), (signal.SIGKILL, 5)):
                if running.process.poll() is None:
                    running.signal(number)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        running.process.wait(timeout=seconds)


def clean_environment() -> dict[str, str]:
    keep = ("HEADRACE_CACHE_DIR",)
    return {
        name: value
        for name, value in os.environ.items()
        if name in keep or not name.startswith("HEADRACE_")
    } | {"PYTHONWARNINGS": "default"}


def make_topics(kafka: str, name: str) -> None:
    """What `headrace topics apply` does, a second sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_NAME", name)
        pipeline = runpy.run_path(str(ROOT / "tests/sample_pipelines/shop.py"))["shop"]
    settings = KafkaSettings(bootstrap_servers=kafka)
    assert apply_plan(plan_topics(pipeline, settings, TopicSettings()), settings).ok


@pytest.fixture(scope="session")
def lived(kafka: str) -> Lived:
    """A shop in which jobs have lived, for tests that only look."""
    return Lived(kafka)


@pytest.fixture(scope="session")
def common_shop(kafka: str) -> dict[str, str]:
    """The environment of a pipeline with topics that several tests share."""
    own = {"HEADRACE_BOOTSTRAP_SERVERS": kafka, "HEADRACE_PIPELINE": SHOP}
    own["SHOP_NAME"] = f"t{uuid.uuid4().hex[:8]}"
    make_topics(kafka, own["SHOP_NAME"])
    return own


@pytest.fixture
def headrace(tmp_path: Path, unique_name: str) -> Iterator[CommandLine]:
    """The command without a broker; `tests.sample_pipelines.shop` is named after the test."""
    command = CommandLine(tmp_path, clean_environment() | {"SHOP_NAME": unique_name})
    yield command
    command.end_all()


@pytest.fixture
def shared_shop(headrace: CommandLine, common_shop: dict[str, str]) -> CommandLine:
    """As `shop`, but others have submitted to it: for tests that run nothing."""
    headrace.environment |= common_shop
    return headrace


@pytest.fixture
def on_kafka(headrace: CommandLine, kafka: str) -> CommandLine:
    """The command with a broker, without topics."""
    headrace.environment |= {"HEADRACE_BOOTSTRAP_SERVERS": kafka, "HEADRACE_PIPELINE": SHOP}
    return headrace


@pytest.fixture
def shop(on_kafka: CommandLine, kafka: str, unique_name: str) -> CommandLine:
    """The command with a broker and the topics of the sample pipeline."""
    make_topics(kafka, unique_name)
    return on_kafka
