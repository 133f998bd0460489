"""The proof itself, as people run it: real processes, a real broker, every kind of fault.

What can go wrong: anything that the product promises. The short form here makes every kind of fault
at least once; `make prove` is the long one.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.console.proof.findings import MUST_BE_ZERO
from headrace.console.proof.records import Kind
from headrace.console.proof.seeded import NEED_OWN_BROKER

ROOT = Path(__file__).parents[2]
SEED = 20_261


class Proof:
    """`headrace prove` as a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder / "run"
        self.json = folder / "findings.json"
        self.output = folder / "output.txt"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("HEADRACE_")}
        cache = {n: t for n, t in os.environ.items() if n == "HEADRACE_CACHE_DIR"}
        command = [sys.executable, "-m", "headrace", "prove", "--keep", str(self.folder)]
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, "--json", str(self.json), *arguments],
                cwd=ROOT,
                env=kept | cache,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8")

    def end(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end within {seconds} s:\n{self.text[-3_000:]}")

    def break_off(self) -> None:
        """End it as a user would, so that its broker and its workers end too."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(90)
        finally:
            self.process.kill()
            self.process.wait()

    def findings(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.json.read_text("utf-8"))
        return found

    def pids(self) -> set[int]:
        lines = (self.folder / "workers.jsonl").read_text("utf-8").splitlines()
        return {json.loads(line)["pid"] for line in lines}


@pytest.fixture
def prove(tmp_path: Path) -> Iterator[Callable[..., Proof]]:
    """Begin a run, which does not go on after its test."""
    begun: list[Proof] = []

    def begin(*arguments: str) -> Proof:
        begun.append(Proof(tmp_path, *arguments))
        return begun[-1]

    yield begin
    for proof in begun:
        proof.break_off()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.timeout(400)
def test_every_promise_is_kept_through_every_kind_of_fault(prove: Callable[..., Proof]) -> None:
    proof = prove("--minutes", "1", "--jobs", "3000", "--faults", "10", "--seed", str(SEED))
    code = proof.end(360)
    found = proof.findings()
    examples = json.dumps(found["examples"])[:12_000]
    assert {key: found[key] for key in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0), examples
    assert found["ok"], found["reasons"]
    assert found["complete"]
    assert code == 0
    assert found["accepted"] >= 3_000
    assert set(found["faults"]) == {kind.value for kind in Kind}
    assert found["reexecuted"] > 0
    assert found["seed"] == SEED
    assert found["shares"]["retried"] >= 0.2
    assert found["shares"]["delayed"] >= 0.1
    assert found["shares"]["keyed"] >= 0.2
    assert proof.text.startswith(f"seed {SEED}")
    assert not any(alive(pid) for pid in proof.pids())
    assert not (proof.folder / "broker" / "kafka" / "data").exists()
    assert (proof.folder / "broker" / "kafka" / "log" / "broker.log").exists()


@pytest.mark.timeout(300)
def test_a_run_that_is_broken_off_is_checked_and_called_incomplete(
    prove: Callable[..., Proof],
) -> None:
    proof = prove("--minutes", "10", "--scenario", "kill", "--seed", "1")
    await_text(proof, "faults.jsonl", "kill")
    proof.process.send_signal(signal.SIGINT)
    assert proof.end(100) == 2
    found = proof.findings()
    assert found["complete"] is False
    assert found["accepted"] > 0
    assert "INCOMPLETE" in proof.text
    assert not any(alive(pid) for pid in proof.pids())


def await_text(proof: Proof, name: str, what: str) -> None:
    path = proof.folder / name
    deadline = time.monotonic() + 150
    while not path.exists() or what not in path.read_text("utf-8"):
        assert proof.process.poll() is None, proof.text
        assert time.monotonic() < deadline, proof.text
        time.sleep(0.1)


@pytest.mark.kafka
@pytest.mark.long
@pytest.mark.timeout(200)
def test_on_a_cluster_of_the_users_nothing_of_theirs_is_touched(
    kafka: str, prove: Callable[..., Proof]
) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": kafka})
    before = set(admin.list_topics(timeout=10).topics)
    proof = prove("--minutes", "0.3", "--faults", "1", "--bootstrap", kafka)
    code = proof.end(180)
    found = proof.findings()
    assert (code, found["ok"]) == (0, True), found["examples"]
    assert set(found["skipped"]) == {kind.value for kind in NEED_OWN_BROKER}
    assert re.search(r"skipped, .*: .*broker-kill", proof.text)
    assert set(admin.list_topics(timeout=10).topics) <= before


def test_what_cannot_be_proven_is_refused_before_anything_is_started(
    prove: Callable[..., Proof],
) -> None:
    refused = prove("--scenario", "broker", "--bootstrap", "127.0.0.1:1")
    assert refused.end(60) == 2
    assert "needs a broker of its own" in refused.text
    assert not refused.folder.exists()
