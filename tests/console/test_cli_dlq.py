"""Dead letters repaired through the command line, on a real broker with a real worker.

What can go wrong: a letter is lost or comes back changed; work is done twice because a command was
repeated; somebody changes something and nobody can tell who.
"""

import json
import sys
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer as RawProducer
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.pipeline import Pipeline, Queue, Retry
from headrace.pipeline.settings import KafkaSettings
from headrace.processors.dead_letter import DeadLetter
from headrace.processors.dead_letter_view import DeadLetters
from headrace.processors.errors import EditError
from headrace.processors.job_history import JobHistory
from headrace.processors.repair import edit as editing
from headrace.processors.repair.letter_filter import ANY_LETTER, LetterFilter
from headrace.processors.repair.letter_states import LetterMark, LetterState, write_marks
from headrace.processors.repair.raw_records import RawRecord, write_records
from headrace.producers import Producer
from headrace.schemas import headers
from headrace.schemas.errors import ArgumentError
from tests.processors.test_job_history import eventually
from tests.processors.view_shop import kafka_settings, make_topics, working

pytestmark = pytest.mark.kafka
MODULE = "dlq_of_a_shop"
BROKEN = {17, 18}
ODD_HEADERS: list[tuple[str, bytes | None]] = [
    ("twice", b"1"),
    ("null", None),
    ("twice", b"\xff\x00"),
    ("empty", b""),
]


class CardError(Exception):
    pass


class Shop:
    """A shop whose cards are refused, and a worker that is at work all the time."""

    def __init__(self, bootstrap: str) -> None:
        self.kafka: KafkaSettings = kafka_settings(bootstrap)
        self.pipeline = Pipeline(
            f"d{uuid.uuid4().hex[:8]}",
            queues=[Queue("default", priorities=("high", "normal"), partitions=2)],
        )

        @self.pipeline.job("card.charge", retry=Retry(max_attempts=1))
        def charge(order: int, note: str = "-") -> None:
            if order in BROKEN:
                raise CardError(f"order {order} was refused")

        make_topics(self.pipeline, self.kafka)

    def die(self, *orders: int, **options: Any) -> list[str]:
        """Submit jobs that die, and wait until they have."""
        with Producer(self.pipeline, kafka=self.kafka) as producer:
            sent = [
                producer.submit("card.charge", {"order": order, "note": "grün"}, **options)
                for order in orders
            ]
        ids = [receipt.job_id for receipt in sent]
        self.await_letters(LetterFilter(ids=tuple(ids)), len(ids))
        return ids

    def junk(self) -> DeadLetter:
        """A record that is no job, with headers that are easily lost."""
        before = {str(letter.location) for letter in self.letters(ANY_LETTER)}
        raw = RawProducer({"bootstrap.servers": self.kafka.bootstrap_servers})
        lane = f"{self.pipeline.name}.default.normal"
        raw.produce(lane, b"\x00junk\xff", None, headers=list(ODD_HEADERS))
        assert raw.flush(10) == 0
        found = self.await_letters(ANY_LETTER, len(before) + 1)
        return next(letter for letter in found if str(letter.location) not in before)

    def letters(self, wanted: LetterFilter) -> list[DeadLetter]:
        return list(DeadLetters(self.pipeline, self.kafka).select(wanted))

    def await_letters(self, wanted: LetterFilter, count: int) -> list[DeadLetter]:
        return eventually(lambda: self.letters(wanted), lambda found: len(found) == count)

    def state(self, job_id: str) -> str:
        found = JobHistory(self.pipeline, self.kafka).find(job_id)
        return found.summary.state if found else "nothing known"

    def runs(self, job_id: str) -> list[str]:
        found = JobHistory(self.pipeline, self.kafka).find(job_id)
        return [each.state for each in found.transitions] if found else []


@pytest.fixture(scope="module")
def shop(kafka: str) -> Iterator[Shop]:
    made = Shop(kafka)
    with working(made.pipeline, made.kafka):
        yield made


@pytest.fixture(autouse=True)
def importable(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(MODULE)
    module.__dict__["shop"] = shop.pipeline
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setenv("HEADRACE_PIPELINE", f"{MODULE}:shop")
    monkeypatch.setenv("HEADRACE_BOOTSTRAP_SERVERS", str(shop.kafka.bootstrap_servers))


def run(*words: str, code: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, list(words), input=stdin, catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def as_json(*words: str) -> Any:
    return json.loads(run(*words, "--json"))


def listed(*words: str) -> set[str]:
    return {letter["job_id"] for letter in as_json("dlq", "list", *words)["dead_letters"]}


def test_conditions_of_the_list_are_combined(shop: Shop) -> None:
    acme = shop.die(17, 18, tenant="acme")
    other = shop.die(17, tenant="other", key="customer-1")
    assert listed("--tenant", "acme") == set(acme)
    assert listed("--tenant", "acme", "--tenant", "other", "--text", "ORDER 17") >= {
        acme[0],
        other[0],
    }
    assert listed("--text", "order 18", "--tenant", "acme", "--error", "CardError") == {acme[1]}
    assert listed("--key", "customer-1", "--since", "1h", "--reason", "exhausted") == set(other)
    assert listed("--tenant", "acme", "--until", "1h") == set()
    assert listed("--text", "grün", "--id", other[0], "--max-generation", "0") == set(other)
    (group,) = (
        each
        for each in as_json("dlq", "stats", "--tenant", "acme")["by_fingerprint"]
        if each["title"] == "CardError: order # was refused in test_cli_dlq.py:charge"
    )
    assert group["count"] == 2
    assert listed("--fingerprint", group["value"], "--tenant", "acme") == set(acme)


def test_a_list_without_a_match_ends_with_code_1_but_not_for_programs() -> None:
    told = run("dlq", "list", "--tenant", "nobody", code=1)
    assert "no dead letter matches (state: open" in told
    assert as_json("dlq", "list", "--tenant", "nobody") == {"dead_letters": []}
    assert as_json("dlq", "stats", "--tenant", "nobody")["total"] == 0


def test_discarded_letters_are_no_longer_open_and_the_audit_tells_who_did_it(shop: Shop) -> None:
    ids = shop.die(17, 18, tenant="gone")
    assert "2 dead letters would be discarded" in run(
        "dlq", "discard", "--tenant", "gone", "--why", "obsolete", "--dry-run"
    )
    assert listed("--tenant", "gone") == set(ids)
    run("dlq", "discard", "--tenant", "gone", "--why", "shop closed", "--by", "ada", "--yes")
    assert listed("--tenant", "gone") == set()
    assert listed("--tenant", "gone", "--state", "discarded") == set(ids)
    shown = run("dlq", "show", ids[0])
    assert "discarded by ada" in shown
    assert "shop closed" in shown
    (entry,) = as_json("audit", "--who", "ada", "--what", "discard", "--since", "1h")["audit"]
    assert (entry["how_many"], entry["why"]) == (2, "shop closed")
    assert entry["details"]["filter"]["tenants"] == ["gone"]
    assert "no dead letter matches" in run(
        "dlq", "discard", "--tenant", "gone", "--why", "again", "--yes", code=1
    )


def test_nothing_is_discarded_without_a_terminal_to_ask_on_or_a_yes(shop: Shop) -> None:
    (job_id,) = shop.die(17)
    from headrace.console.output import UsageError

    with pytest.raises(UsageError, match=r"Discard 1 dead letters\? .*--yes"):
        run("dlq", "discard", "--id", job_id, "--why", "x")
    assert listed("--id", job_id) == {job_id}


def test_an_edited_letter_is_a_new_job_that_succeeds_and_each_names_the_other(shop: Shop) -> None:
    (old,) = shop.die(17, tenant="acme", key="customer-7")
    words = ("dlq", "edit", old, "--set", "order=1", "--why", "typo", "--by", "eve")
    dry = run(*words, "--dry-run")
    assert '-  "order": 17' in dry
    assert '+  "order": 1' in dry
    assert listed("--id", old) == {old}
    new = as_json(*words, "--yes")["new_job_id"]
    assert new in dry
    eventually(lambda: shop.state(new), lambda state: state == "succeeded")
    assert listed("--id", old) == set()
    assert as_json("jobs", "show", new)["edited_from"] == old
    assert f"edited to job {new}, by eve" in run("jobs", "show", old)
    job = as_json("jobs", "show", new)
    assert (job["tenant"], job["key"], job["generation"]) == ("acme", "customer-7", 0)
    assert job["arguments"]["value"] == {"order": 1, "note": "grün"}
    with pytest.raises(EditError, match=rf"edited to job {new}.*--force"):
        run("dlq", "edit", old, "--set", "order=2", "--yes")


def test_an_edit_that_died_before_its_mark_runs_its_job_once_when_it_is_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = shop.die(18)
    words = ("dlq", "edit", old, "--set", "order=2", "--yes")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(editing, "write_marks", die)
        run(*words, code=130)
    assert listed("--id", old) == {old}
    again = as_json(*words)
    assert again["place"] == "submitted before, by the same edit"
    new = again["new_job_id"]
    eventually(lambda: shop.state(new), lambda state: state == "succeeded")
    assert shop.runs(new) == ["succeeded"]
    assert listed("--id", old, "--state", "edited") == {old}


def test_an_edit_that_does_not_fit_the_type_submits_nothing(shop: Shop) -> None:
    (old,) = shop.die(17)
    with pytest.raises(ArgumentError, match="order"):
        run("dlq", "edit", old, "--set", 'order="many"', "--yes")
    with pytest.raises(ArgumentError, match="is missing"):
        run("dlq", "edit", old, "--remove", "order", "--yes")
    assert listed("--id", old) == {old}


def test_all_arguments_can_come_from_standard_input(shop: Shop) -> None:
    (old,) = shop.die(17)
    told = run("dlq", "edit", old, "--arguments", "-", "--dry-run", stdin='{"order": 3}')
    assert '+  "note": "-"' in told


def test_a_replayed_letter_is_resolved_once_its_job_has_succeeded(shop: Shop) -> None:
    (job_id,) = shop.die(17)
    (letter,) = shop.letters(LetterFilter(ids=(job_id,)))
    mark = LetterMark(LetterState.REPLAYED, job_id, 0, "ada", letter.died, "fixed", "monday")
    write_marks(shop.kafka, shop.pipeline.topology, [(letter.location, mark)])
    assert listed("--id", job_id) == set()
    assert listed("--id", job_id, "--state", "replayed") == {job_id}
    job = headers.decode(letter.record.headers, lane="", timestamp=0)
    again = job._replace(generation=1, step=job.step + 1, attempt=1, extra=())
    record = RawRecord(job.lane, None, letter.record.key, letter.payload, tuple(again.encode()))
    BROKEN.remove(17)
    try:
        write_records(shop.kafka, [record])
        eventually(lambda: shop.state(job_id), lambda state: state == "succeeded")
    finally:
        BROKEN.add(17)
    assert listed("--id", job_id, "--state", "replayed") == set()
    assert listed("--id", job_id, "--state", "resolved") == {job_id}
    assert "resolved by ada" in run("dlq", "show", job_id)


def exported(*words: str) -> list[dict[str, Any]]:
    lines = run("dlq", "export", "-", *words).splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda line: str(line["job_id"]))


def test_what_is_exported_and_imported_again_is_the_same_to_the_byte(
    shop: Shop, tmp_path: Path
) -> None:
    ids = [*shop.die(17, 18, key="customer-9"), shop.junk().job_id]
    chosen = [word for job_id in ids for word in ("--id", job_id)]
    file = tmp_path / "letters.jsonl"
    run("dlq", "export", str(file), *chosen)
    before = {str(letter.location) for letter in shop.letters(ANY_LETTER)}
    assert as_json("dlq", "import", str(file)) == {"imported": 0, "skipped": 3, "refused": 0}
    assert as_json("dlq", "import", "--force", str(file))["imported"] == 3
    original = [json.loads(line) for line in file.read_text().splitlines()]
    added = [letter for letter in shop.letters(ANY_LETTER) if str(letter.location) not in before]
    assert len(added) == 3
    again = [line for line in exported(*chosen) if places(line) not in before]
    assert [without_offset(line) for line in again] == [
        without_offset(line) for line in sorted(original, key=lambda line: str(line["job_id"]))
    ]
    junk = next(letter for letter in added if not letter.job_type)
    assert [each for each in junk.record.headers if each in ODD_HEADERS] == ODD_HEADERS
    assert junk.record.key is None


def places(line: dict[str, Any]) -> str:
    return f"{line['topic']}/{line['partition']}/{line['offset']}"


def without_offset(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "offset"}


def test_a_broken_line_is_named_and_the_others_go_on(shop: Shop, tmp_path: Path) -> None:
    (job_id,) = shop.die(17)
    file = tmp_path / "letters.jsonl"
    run("dlq", "export", str(file), "--id", job_id)
    line = file.read_text()
    other = json.loads(line) | {"headers": [["ce_id", "b3RoZXI="], ["ce_type", "eA=="]]}
    file.write_text(f"{line[:40]}\n\n{json.dumps(other)}\n")
    told = run("dlq", "import", str(file), "--by", "ada", code=1)
    assert "line 1: it is no JSON" in told
    assert "1 dead letters imported, 0 were there already, 1 lines refused" in told
    assert listed("--id", "other") == {"other"}
    assert as_json("audit", "--what", "import", "--who", "ada")["audit"][-1]["how_many"] == 1


def test_an_export_without_a_match_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    assert "no dead letter matches" in run("dlq", "export", str(file), "--tenant", "nobody", code=1)
    assert not list(tmp_path.iterdir())


def test_a_letter_shows_its_trace_its_first_failure_and_its_state(shop: Shop) -> None:
    (job_id,) = shop.die(17)
    shown = as_json("dlq", "show", job_id)
    assert shown["state"] == "open"
    assert shown["mark"] is None
    assert shown["earlier"] == []
    assert shown["first_failed_ms"] <= shown["died_ms"]
    assert shown["arguments"]["value"] == {"order": 17, "note": "grün"}
