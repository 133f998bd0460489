"""`headrace worker` and `headrace scheduler`: a job's life between start and signals."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.console.conftest import SHOP, CommandLine, eventually


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def call(path: Path, **more: object) -> str:
    import json

    return json.dumps({"path": str(path), **more})


def test_a_submitted_job_runs_and_sigterm_ends_the_worker_well(
    shop: CommandLine, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    shop.ok("submit", "mark", call(mark))
    worker = shop.start("worker", "--concurrency", "3")
    eventually("the job ran", lambda: len(lines(mark)) == 1)
    eventually("ready", worker.is_ready)
    name = shop.environment["SHOP_NAME"]
    told = f'headrace_jobs_total{{job_type="mark",lane="{name}.default.normal",outcome="succeeded"}} 1.0'
    eventually("the job is counted", lambda: told in worker.get("/metrics")[1])
    assert 'headrace_slots{pool="default"} 3.0' in worker.get("/metrics")[1]
    assert worker.get("/health/live")[0] == 200
    worker.signal()
    assert worker.ends() == 0
    assert "processed=1 succeeded=1" in worker.text()


def test_a_running_job_may_end_after_the_first_signal(shop: CommandLine, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    shop.ok("submit", "slow", call(mark, seconds=1.5))
    worker = shop.start("worker")
    eventually("the job began", lambda: lines(mark) == ["began"])
    worker.signal(signal.SIGINT)
    assert worker.ends() == 0
    assert lines(mark) == ["began", "ended"]


def test_a_second_signal_gives_running_jobs_back_at_once(shop: CommandLine, tmp_path: Path) -> None:
    asleep, stuck = tmp_path / "asleep", tmp_path / "stuck"
    shop.ok("submit", "slow", call(asleep, seconds=90))
    shop.ok("submit", "stuck", call(stuck, seconds=90))
    worker = shop.start("worker")
    eventually("both began", lambda: lines(asleep) == lines(stuck) == ["began"])
    worker.signal()
    worker.says("stopping: running jobs may end")
    worker.signal()
    assert worker.ends() in (0, 143)  # 143: something hung, and was left behind
    assert lines(asleep) == ["began"]
    shop.start("worker")
    eventually("another worker has both", lambda: lines(asleep) == lines(stuck) == ["began"] * 2)


def test_a_worker_without_topics_says_how_to_make_them(on_kafka: CommandLine) -> None:
    done = on_kafka("worker")
    assert done.returncode == 1
    assert f"`headrace topics apply {SHOP}`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_in_thin_mode_releases_delayed_jobs_itself(
    shop: CommandLine, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    shop.ok("submit", "mark", call(mark), "--delay", "500ms")
    worker = shop.start("worker", env={"HEADRACE_WORKER_MODE": "thin"})
    eventually("the job ran", lambda: len(lines(mark)) == 1)
    assert "concurrency=2" in worker.text()
    worker.signal()
    assert worker.ends() == 0


def test_a_scheduler_of_its_own_becomes_ready_and_ends_well(shop: CommandLine) -> None:
    scheduler = shop.start("scheduler")
    eventually("ready", scheduler.is_ready)
    assert "headrace_scheduler_held_records 0.0" in scheduler.get("/metrics")[1]
    scheduler.signal()
    assert scheduler.ends() == 0


def test_a_worker_serves_the_queues_and_priorities_that_it_is_given(shop: CommandLine) -> None:
    worker = shop.start("worker", "--queue", "default", "--priority", "high")
    worker.says("worker started")
    assert f"lanes=['{shop.environment['SHOP_NAME']}.default.high']" in worker.text()
    unknown = shop("worker", "--queue", "nope")
    assert unknown.returncode == 1
    assert "error: --queue nope: " in unknown.stderr


def test_a_worker_waits_for_a_broker_that_is_away_and_says_so(
    shop: CommandLine, kafka: str
) -> None:
    """The way to the broker is a port that nobody listens on until the test does."""
    with reserved_port() as (port, door):
        away = {"HEADRACE_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
        worker = shop.start("worker", env=away)
        worker.says("waiting for Kafka")
        status, body = worker.get("/health/ready")
        assert status == 503
        assert "waiting for Kafka" in body
        assert worker.get("/health/live")[0] == 200
        host, _, number = kafka.rpartition(":")
        door.listen()
        threading.Thread(target=forward, args=(door, (host, int(number))), daemon=True).start()
        eventually("ready", worker.is_ready)
        worker.signal()
        assert worker.ends() == 0


def test_a_worker_that_waits_for_a_broker_ends_on_a_signal(headrace: CommandLine) -> None:
    worker = headrace.start("worker", SHOP, env={"HEADRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    worker.says("health and metrics at")
    worker.signal()
    assert worker.ends() == 0


@contextmanager
def reserved_port() -> Iterator[tuple[int, socket.socket]]:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        yield int(door.getsockname()[1]), door


def forward(door: socket.socket, target: tuple[str, int]) -> None:
    """Join each connection with one to the target, until the door is closed."""
    while True:
        try:
            near, _ = door.accept()
        except OSError:
            return
        far = socket.create_connection(target)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with source, sink:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            return
