"""The query store from the command line: kept up to date, looked at, built anew."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import CommandLine, eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def stored(shop: CommandLine, tmp_path: Path) -> CommandLine:
    """A shop with a store of its own, which nobody has written to."""
    shop.environment["HEADRACE_STORE_URL"] = f"sqlite:///{tmp_path / 'store.db'}"
    return shop


def status(command: CommandLine) -> Any:
    return json.loads(command("processors", "status", "--json").stdout)


def test_a_store_is_kept_up_to_date_and_built_anew_beside(stored: CommandLine) -> None:
    stored.ok("submit", "mark", '{"path": "/dev/null"}')
    projector = stored.start("processors", "projector")
    eventually("the job is in the store", lambda: bool(status(stored)["totals"]))
    found = status(stored)
    assert [(total["type"], total["state"], total["jobs"]) for total in found["totals"]] == [
        ("mark", "queued", 1)
    ]
    (edition,) = found["editions"]
    assert edition["owned"]
    assert json.loads(stored.ok("processors", "rebuild", "--json"))["jobs"] == 1
    (rebuilt,) = status(stored)["editions"]
    assert rebuilt["number"] != edition["number"]
    eventually("the projector goes on", lambda: status(stored)["editions"][0]["owned"])
    assert projector.get("/health/ready")[0] == 200
    projector.signal(signal.SIGTERM)
    assert projector.ends() == 0


def test_jobs_are_listed_from_the_store_when_one_is_kept(stored: CommandLine) -> None:
    stored.ok("submit", "mark", '{"path": "/dev/null"}')
    listed = json.loads(stored.ok("jobs", "list", "--json"))
    assert (listed["source"], len(listed["jobs"])) == ("kafka", 1)
    refused = stored("jobs", "list", "--text", "broken")
    assert refused.returncode == 2
    assert "--text: only the query store can tell" in refused.stderr
    stored.start("processors", "projector")
    eventually("the job is in the store", lambda: bool(status(stored)["totals"]))
    again = json.loads(stored.ok("jobs", "list", "--json", "--priority", "normal"))
    assert again["source"] == "store"
    assert again["jobs"] == listed["jobs"]
    assert json.loads(stored.ok("jobs", "list", "--json", "--text", "x"))["jobs"] == []
    assert json.loads(stored.ok("jobs", "list", "--json", "--source", "kafka"))["source"] == "kafka"


def test_a_store_that_nobody_writes_to_is_told_of(stored: CommandLine) -> None:
    done = stored("processors", "status")
    assert done.returncode == 1
    assert "nobody writes to the store now: start `headrace processors projector`" in done.stderr


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_wrong_url_is_refused_without_showing_it(headrace: CommandLine, url: str) -> None:
    env = {"HEADRACE_STORE_URL": url, "HEADRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = headrace("processors", "status", "tests.sample_pipelines.shop:shop", env=env)
    assert done.returncode == 1
    assert "HEADRACE_STORE_URL" in done.stderr
    assert "sqlite:///PATH" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_never_shown(headrace: CommandLine) -> None:
    url = "postgresql://shop:hunter2@127.0.0.1:1/jobs"
    env = {"HEADRACE_STORE_URL": url, "HEADRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = headrace("processors", "status", "tests.sample_pipelines.shop:shop", env=env)
    assert done.returncode == 1
    assert "127.0.0.1:1/jobs cannot be used just now" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
