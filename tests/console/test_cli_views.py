"""`headrace jobs`, `dlq` and `lag` as people and programs use them: through the command line."""

import json
import sys
import types
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.pipeline.errors import KafkaUnavailableError, SettingsError
from headrace.processors.errors import NotFoundError
from tests.processors.test_job_history import Lived

pytestmark = pytest.mark.kafka
MODULE = "views_of_a_shop"


@pytest.fixture(autouse=True)
def importable(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(MODULE)
    module.__dict__["shop"] = lived.shop
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("HEADRACE_PIPELINE", f"{MODULE}:shop")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", str(lived.kafka.bootstrap_servers))


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(words), catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def as_json(*words: str, code: int = 0) -> Any:
    return json.loads(run(*words, "--json", code=code))


def test_jobs_show_tells_the_life_of_a_dead_job(lived: Lived) -> None:
    told = run("jobs", "show", lived.ids["failed"])
    for part in (lived.ids["failed"], "fail", "exhausted", "order 17 is broken", "kunde-1"):
        assert part in told
    assert told.index("retrying") < told.rindex("dead")
    assert f"{lived.shop.name}.default.dlq, partition" in told


def test_jobs_show_takes_the_pipeline_first(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_PIPELINE")
    told = run("jobs", "show", f"{MODULE}:shop", lived.ids["succeeded"])
    assert "Jürgen ☕" in told
    assert "Grüß Gott, Jürgen ☕" in told


def test_jobs_show_can_leave_out_the_arguments(lived: Lived) -> None:
    told = run("jobs", "show", "--no-arguments", lived.ids["failed"])
    assert "arguments" not in told
    assert "arguments" not in as_json("jobs", "show", "--no-arguments", lived.ids["failed"])


def test_jobs_show_json_has_each_time_twice(lived: Lived) -> None:
    told = as_json("jobs", "show", lived.ids["delayed"])
    assert told["state"] == "delayed"
    assert told["due_ms"] == told["created_ms"] + 3_600_000
    assert told["due"].endswith("Z")
    assert told["arguments"]["value"]["name"] == "später"
    assert told["location"]["topic"] == f"{lived.shop.name}.delay.30m"


def test_jobs_show_of_an_unknown_id_says_what_was_searched() -> None:
    with pytest.raises(NotFoundError, match=r"nobody.*searched \d+ offsets.*TOPIC_RETENTION"):
        run("jobs", "show", "nobody")


def test_jobs_list_filters_by_state_and_type(lived: Lived) -> None:
    told = as_json("jobs", "list", "--state", "dead", "--type", "fail", "--since", "1h")
    assert [job["job_id"] for job in told["jobs"]] == [lived.ids["failed"]]
    table = run("jobs", "list", "--state", "queued", "--limit", "1")
    assert "queued" in table
    assert len(table.strip().splitlines()) == 2


def test_dlq_list_and_show_and_stats_agree(lived: Lived) -> None:
    letters = as_json("dlq", "list")["dead_letters"]
    stats = as_json("dlq", "stats")
    assert stats["total"] == len(letters) == 3
    assert {each["value"] for each in stats["by_reason"]} == {each["reason"] for each in letters}
    shown = as_json("dlq", "show", lived.ids["failed"])
    assert shown["arguments"] == {"size_bytes": 11, "value": {"order": 17}}
    assert [past["attempt"] for past in shown["history"]] == [1, 2]
    assert "raise ValueError" in shown["traceback"]
    assert "by_fingerprint" in stats


def test_dlq_show_dumps_bytes_that_are_no_job() -> None:
    (junk,) = (x for x in as_json("dlq", "list")["dead_letters"] if x["reason"] == "undecodable")
    told = run("dlq", "show", junk["job_id"])
    assert "00000000  00 6e 6f 74 20 61 76 72 6f" in told
    assert "x-origin" in told
    assert "traceback" in told


def test_dlq_of_an_unknown_queue_or_job_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError, match="'nowhere'"):
        run("dlq", "list", "--queue", "nowhere")
    with pytest.raises(NotFoundError, match="nobody"):
        run("dlq", "show", "nobody")


def test_lag_shows_lanes_tiers_and_dead_letters_in_words_and_in_json(lived: Lived) -> None:
    told = as_json("lag", "--over", "0s", code=4)
    lanes = {lane["topic"]: lane for lane in told["lanes"]}
    idle = lanes[f"{lived.shop.name}.idle.normal"]
    assert (idle["messages"], idle["ready"], idle["verdict"]) == (2, 2, "stopped")
    normal = lanes[f"{lived.shop.name}.default.normal"]
    assert (normal["messages"], normal["verdict"], normal["overdue"]) == (0, "OK", 0)
    assert [jobs for _, jobs in normal["due"]] == [1]
    assert {tier["topic"]: tier["messages"] for tier in told["tiers"]}[
        f"{lived.shop.name}.delay.30m"
    ] == 1
    assert {dead["topic"]: dead["messages"] for dead in told["dead_letters"]}[
        f"{lived.shop.name}.default.dlq"
    ] == 3
    table = run("lag", "--over", "100ms", code=4)
    assert f"{lived.shop.name}.idle.normal" in table
    assert "stopped" in table
    assert "partition" in table
    assert "  partition" not in run("lag", "--totals", "--over", "0s", code=4)
    assert table.count("partition") < run("lag", "--all", "--over", "0s", code=4).count("partition")


def test_lag_of_a_cluster_that_is_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.processors.snapshot import Cluster

    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr(Cluster, "bound", {"request_timeout": 1.0})
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:1"):
        run("lag")
