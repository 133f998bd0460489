"""The whole demo, as `make demo` runs it, over a small tree.

What can go wrong: a job's outcome is lost or doubled when its worker is killed, an earlier run's
jobs are taken for this one's, a process is left behind, a query store that was lost does not come back
whole. Both runs use one broker directory, so the
second finds the data of the first.
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.source_audit.jobs import audit
from examples.source_audit.readback import EVENTS, ends
from headrace.pipeline import broker, settings
from headrace.pipeline.kafka import make_reader
from headrace.pipeline.settings import KafkaSettings, StoreSettings
from headrace.processors.projector.projector import Projector
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreFilter, StoreReader
from headrace.schemas.transitions import decode_batch
from tests.support.stage import wait_until

ROOT = Path(__file__).parents[2]
BAD = {"b_bad.py": "print 'old'\n", "c/bad.py": "x = 1\x00\n"}
LIMIT = 60


@pytest.fixture(scope="module")
def broker_directory(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Path:
    """Where the demo's own broker lives. `kafka` is asked for because it skips without Java."""
    return tmp_path_factory.mktemp("demo") / "headrace"


def test_every_file_has_its_outcome_and_nothing_is_left_running(
    broker_directory: Path, tmp_path: Path
) -> None:
    demo = Demo(broker_directory, _tree(tmp_path, functions=3), tmp_path / "figures.json")
    figures = demo.end()
    _assert_complete(figures, demo.output)
    assert (figures["restarts"], figures["run_again"]) == (0, 0)
    assert broker.status(broker_directory).state is broker.BrokerState.STOPPED
    assert not demo.left_behind()


def test_a_worker_killed_and_a_store_deleted_in_the_middle_lose_nothing(
    broker_directory: Path, tmp_path: Path
) -> None:
    store = StoreSettings.model_validate({"store_url": f"sqlite:///{tmp_path}/store.db"})
    demo = Demo(broker_directory, _tree(tmp_path, functions=600), tmp_path / "figures.json")
    bootstrap = demo.await_line(r"kafka +(\S+:\d+),")
    demo.await_line(r"topics ")
    with _projecting(bootstrap, store):
        succeeded = _await_results(bootstrap, demo, at_least=5)
        wait_until("some are in the store", lambda: "succeeded" in _stored(store).values())
    assert succeeded < LIMIT - len(BAD), "the kill must come in the middle: make the files larger"
    for file in tmp_path.glob("store.db*"):
        file.unlink()
    worker = int(demo.await_line(r"worker +process (\d+)"))
    psutil.Process(worker).kill()
    figures = demo.end()
    assert f"process {worker} died" in demo.output
    _assert_complete(figures, demo.output)
    assert figures["restarts"] == 1
    assert not demo.left_behind()
    _assert_all_come_back(broker_directory, store, figures)


def _assert_all_come_back(
    broker_directory: Path, store: StoreSettings, figures: dict[str, Any]
) -> None:
    """A projector that starts with no store at all brings every job of every run back."""
    wanted = {"succeeded": figures["succeeded"], "dead": sum(figures["dead"].values())}
    with (
        broker.running(broker.BrokerOptions(directory=broker_directory)) as address,
        _projecting(address.bootstrap, store),
    ):
        wait_until(
            f"the store has {wanted}",
            lambda: Counter(_stored(store, figures["run"]).values()) == wanted,
        )


@contextmanager
def _projecting(bootstrap: str, store: StoreSettings) -> Iterator[None]:
    projector = Projector(audit, settings.load(KafkaSettings, bootstrap_servers=bootstrap), store)
    thread = threading.Thread(target=projector.run, name="projector")
    thread.start()
    try:
        yield
    finally:
        projector.stop()
        thread.join(30)
    assert not thread.is_alive()


def _stored(store: StoreSettings, run: str | None = None) -> dict[str, str]:
    """The states of the jobs that the store knows, of one run or of all."""
    engine = open_store(store)
    try:
        reader = StoreReader(engine, audit.name)
        if reader.edition() is None:
            return {}
        jobs = reader.page(StoreFilter(tenant=run), limit=1_000).jobs
        return {job.job_id: job.state for job in jobs}
    finally:
        engine.dispose()


@dataclass
class Demo:
    """A running demo."""

    broker_directory: Path
    tree: Path
    json: Path

    def __post_init__(self) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "examples.source_audit", "--limit", str(LIMIT)),
                *("--directory", str(self.tree), "--json", str(self.json)),
                *("--broker-directory", str(self.broker_directory)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def await_line(self, pattern: str) -> str:
        """Read on until a line matches (or one did already); give its first group, or all of it."""
        assert self._process.stdout is not None
        while (found := re.search(pattern, self.output)) is None:
            line = self._process.stdout.readline()
            assert line, f"the demo ended before {pattern!r}:\n{self.output}"
            self.output += line
        return found[found.lastindex or 0]

    def end(self) -> dict[str, Any]:
        """Wait until it has agreed with itself; give its figures."""
        rest, _ = self._process.communicate(timeout=100)
        self.output += rest
        assert self._process.returncode == 0, self.output
        figures: dict[str, Any] = json.loads(self.json.read_text())
        return figures

    def left_behind(self) -> list[int]:
        """Processes that still mention the broker's directory."""
        mark = str(self.broker_directory)
        return [
            each.pid
            for each in psutil.process_iter(["cmdline"])
            if any(mark in part for part in each.info["cmdline"] or ())
        ]


def _tree(folder: Path, functions: int) -> Path:
    """More files than the limit, so many functions each; two of the first ones are no Python."""
    tree = folder / "tree"
    for number in range(LIMIT + 5):
        path = tree / ("a" if number % 2 else "d") / f"file_{number:02}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(_function(number, index) for index in range(functions)))
    for name, text in BAD.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    return tree


def _function(number: int, index: int) -> str:
    return f"def f_{number}_{index}(x):\n    if x and x > {index}:\n        return [x + {number}]\n"


def _await_results(bootstrap: str, demo: Demo, at_least: int) -> int:
    """Read the events topic until so many jobs have succeeded; give how many have."""
    kafka = settings.load(KafkaSettings, bootstrap_servers=bootstrap)
    succeeded: set[str] = set()
    deadline = time.monotonic() + 60
    with closing(make_reader(kafka)) as reader:
        # Nothing of this run can be there yet: its worker is started after the topics are made,
        # and needs longer than this question.
        reader.assign(ends(reader, EVENTS))
        while len(succeeded) < at_least:
            assert time.monotonic() < deadline, demo.output
            message = reader.poll(0.1)
            if message is not None and message.error() is None:
                batch = decode_batch(message.value() or b"")
                succeeded |= {each.job_id for each in batch if each.state == "succeeded"}
    return len(succeeded)


def _assert_complete(figures: dict[str, Any], output: str) -> None:
    assert figures["agree"], output
    assert figures["differences"] == []
    assert figures["submitted"] == LIMIT
    assert figures["succeeded"] == LIMIT - len(BAD)
    assert sum(figures["dead"].values()) == len(BAD)
    assert figures["dead"].get("SyntaxError", 0) >= 1
