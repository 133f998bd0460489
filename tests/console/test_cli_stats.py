"""`headrace stats`: what it draws of published figures, and what it says when there are none."""

import json
import sys
import time
import types
from typing import Any

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.pipeline import Pipeline, Queue
from headrace.processors.errors import NotFoundError
from headrace.processors.statistics import publication, reading
from headrace.processors.statistics.book import Book
from headrace.processors.statistics.forecast import Sample
from headrace.schemas.transitions import Transition

SHOP = Pipeline("shop", queues=[Queue("default"), Queue("mail")])
LANE = "shop.mail.normal"


def told(offset: int, now: int, state: str, **changes: Any) -> Transition:
    times = {"time": now, "created": now - 3_300, "started": now - 300, "ended": now}
    place = {"lane": LANE, "partition": 0, "attempt": 1, "step": 0, "generation": 0}
    fields: dict[str, Any] = {"job_type": "email.send", "worker": "w", **times, **place}
    return Transition(job_id=str(offset), offset=offset, state=state, **(fields | changes))


def records(now: int, behind: int = 0) -> dict[bytes, bytes]:
    book = Book(0, ("acme",), lambda _: False)
    good = [told(number, now, "succeeded", tenant="acme") for number in range(9)]
    book.take(0, now, [*good, told(9, now, "retrying", error_type="ValueError")])
    samples = [Sample(now - 15_000 + 5_000 * number, 10 * number) for number in range(4)]
    made = [
        *publication.cells(0, [book.rows], now),
        publication.source(0, now, behind=behind, lanes_counted=True),
        publication.backlog(LANE, samples, now),
    ]
    return {record.key: record.value for record in made if record.value is not None}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    found = records(time.time_ns() // 1_000_000)
    module = types.ModuleType("statistics_of_a_shop")
    module.__dict__["shop"] = SHOP
    monkeypatch.setitem(sys.modules, "statistics_of_a_shop", module)
    monkeypatch.setenv("HEADRACE_PIPELINE", "statistics_of_a_shop:shop")
    monkeypatch.setattr(
        reading, "read_statistics", lambda _, pipeline: reading.statistics_of(pipeline, found)
    )
    return found


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["stats", *words], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("published")
def test_rates_errors_waits_and_what_comes_next_are_drawn() -> None:
    shown = run()
    for part in ("email.send", "total", "10.0%", " 3s ", "302 ms", "█", LANE, "+2.0", "150"):
        assert part in shown, shown
    assert "catching up" not in shown


@pytest.mark.usefixtures("published")
def test_rows_are_what_was_asked_for() -> None:
    assert "mail normal" in run("--by", "queue", "--by", "priority")
    shown = run("--by", "tenant", "--window", "1m")
    assert "acme" in shown
    assert "(others)" in shown


@pytest.mark.usefixtures("published")
def test_json_has_every_window() -> None:
    found = json.loads(run("--json", "--by", "queue"))
    assert found["pipeline"] == "shop"
    assert found["fresh"]
    assert found["complete"]
    (row,) = found["rows"]
    assert row["queue"] == "mail"
    assert row["windows"]["1h"]["counts"] == {
        "started": 10, "succeeded": 9, "failed": 1, "retried": 1,
    }  # fmt: skip
    assert row["windows"]["1m"]["error_share"] == 0.1
    assert row["windows"]["5m"]["waiting_ms"]["p99"] == pytest.approx(3_000, rel=0.01)
    assert found["backlogs"][LANE]["jobs"] == 30


def test_old_and_incomplete_figures_are_called_so(published: dict[bytes, bytes]) -> None:
    now = time.time_ns() // 1_000_000
    published.update(records(now - 120_000))
    assert "these figures are old" in run()
    published.update(records(now, behind=5))
    assert "catching up" in run()


def test_without_any_figures_it_says_what_to_start(published: dict[bytes, bytes]) -> None:
    published.clear()
    with pytest.raises(NotFoundError, match="headrace processors statistics"):
        run()
