"""Submitting, topics and schemas from the command line."""

import json
import re
from pathlib import Path

import pytest

from tests.console.conftest import SHOP, CommandLine

PIPELINE = """
from headrace.pipeline import Pipeline
mail = Pipeline("mail")

@mail.job("email.send")
def send(to: str, count: {kind} = {default}) -> None: ...
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"to": 5}', "argument `to`"),
        ('{"to": "a", "sbuject": "x"}', "argument `sbuject`: is unknown"),
        ("{}", "argument `to`: is missing"),
        ("not json", "no JSON"),
    ],
)
def test_wrong_arguments_name_the_field_and_send_nothing(
    headrace: CommandLine, arguments: str, told: str
) -> None:
    done = headrace("submit", SHOP, "email.send", arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: email.send:")
    assert told in done.stderr


def test_a_submitted_job_is_told_with_its_place(shared_shop: CommandLine) -> None:
    sent = json.loads(shared_shop.ok("submit", "email.send", '{"to": "a@example.com"}', "--json"))
    assert sent["topic"].endswith(".default.high")
    assert sent["offset"] >= 0
    again = shared_shop.ok("submit", SHOP, "email.send", '{"to": "b"}', "--priority", "normal")
    assert re.search(
        r"^lies on +\S+\.default\.normal, partition \d, offset \d+$", again, re.MULTILINE
    )


def test_a_delayed_job_lies_on_a_delay_tier(shared_shop: CommandLine) -> None:
    shown = shared_shop.ok("submit", "email.send", '{"to": "a"}', "--delay", "2m")
    assert re.search(r"^lies on +\S+\.delay\.1m,", shown, re.MULTILINE)
    assert re.search(r"^due +in 2m$", shown, re.MULTILINE)


def test_the_same_dedup_key_gives_the_same_job_id(shared_shop: CommandLine) -> None:
    call = ("submit", "email.send", '{"to": "a"}', "--dedup-key", "order-17", "--json")
    assert (
        json.loads(shared_shop.ok(*call))["job_id"] == json.loads(shared_shop.ok(*call))["job_id"]
    )


def test_arguments_may_come_from_standard_input(shared_shop: CommandLine) -> None:
    done = shared_shop("submit", "email.send", "-", stdin='{"to": "ü@example.com"}')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--delay", "5", "is not a duration"), ("--at", "tomorrow", "is no time")],
)
def test_a_wrong_time_is_a_usage_error(
    headrace: CommandLine, option: str, value: str, told: str
) -> None:
    done = headrace("submit", SHOP, "email.send", '{"to": "a"}', option, value)
    assert done.returncode == 2
    assert told in done.stderr


def test_an_unreachable_broker_ends_a_submit_within_its_timeout(headrace: CommandLine) -> None:
    nowhere = {"HEADRACE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = headrace("submit", SHOP, "email.send", '{"to": "a"}', "--timeout", "1s", env=nowhere)
    assert done.returncode == 1
    assert "error: Kafka at 127.0.0.1:1 did not answer" in done.stderr
    assert "nothing was sent" in done.stderr


def test_topics_are_planned_then_made_then_left_alone(on_kafka: CommandLine) -> None:
    planned = on_kafka("topics", "plan", "--exit-code")
    assert planned.returncode == 2
    count = planned.stdout.count("+ create ")
    assert count >= 20
    assert f"Plan: {count} to create" in planned.stdout
    assert f"Applied: {count} created" in on_kafka.ok("topics", "apply")
    again = json.loads(on_kafka.ok("topics", "plan", "--exit-code", "--json"))
    assert again["nothing_to_do"]


def test_an_incompatible_change_of_a_schema_is_refused_by_field(
    headrace: CommandLine, tmp_path: Path
) -> None:
    module, files = tmp_path / "mail.py", str(tmp_path / "schemas")
    where = ("mail:mail", "--app-dir", str(tmp_path), "--directory", files)
    module.write_text(PIPELINE.format(kind="int", default=1))
    assert "1 written" in headrace.ok("schemas", "write", *where)
    assert "unchanged" in headrace.ok("schemas", "check", *where)
    module.write_text(PIPELINE.format(kind="str", default="'one'"))
    done = headrace("schemas", "check", *where)
    assert done.returncode == 1
    assert "field `count`" in done.stdout
    assert headrace("schemas", "write", *where).returncode == 1


def test_schemas_are_published_once(shared_shop: CommandLine) -> None:
    assert "already" in shared_shop.ok("schemas", "publish")
