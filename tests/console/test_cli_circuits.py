"""`headrace circuits`: looking at circuits, and opening and closing them by hand."""

import json
import sys
import types
from collections.abc import Iterable
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from headrace.console.main import app
from headrace.console.output import UsageError
from headrace.pipeline import CircuitPolicy, Pipeline, UnknownJobTypeError, compacted
from headrace.pipeline.compacted import CompactedRecord

SHOP = Pipeline("shop")


@SHOP.job("bank.charge", circuit=CircuitPolicy(open_for=timedelta(seconds=10), trial_jobs=2))
def charge(cents: int) -> None: ...


@SHOP.job("email.send")
def send(to: str) -> None: ...


@pytest.fixture(autouse=True)
def control(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """What lies on the control topic."""
    records: dict[bytes, bytes] = {}

    def write(_: object, new: Iterable[CompactedRecord]) -> None:
        records.update({each.key: each.value or b"" for each in new})

    module = types.ModuleType("circuits_of_a_shop")
    module.__dict__["shop"] = SHOP
    monkeypatch.setitem(sys.modules, "circuits_of_a_shop", module)
    monkeypatch.setenv("HEADRACE_PIPELINE", "circuits_of_a_shop:shop")
    monkeypatch.setattr(compacted, "read_latest", lambda _, topics: {topics[0]: records})
    monkeypatch.setattr(compacted, "write_all", write)
    return records


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["circuits", *words], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def states() -> dict[str, str]:
    found = json.loads(run("list", "--json"))["circuits"]
    return {each["job_type"]: each["state"] for each in found}


def test_declared_circuits_are_closed_until_something_opens_them() -> None:
    assert states() == {"bank.charge": "closed"}


def test_an_operator_opens_and_closes_a_circuit() -> None:
    assert "bank.charge is open" in run("open", "bank.charge", "--for", "10m", "--reason", "noon")
    assert states() == {"bank.charge": "open"}
    shown = run("list")
    assert "noon" in shown
    assert "in 10m" in shown or "in 9m" in shown
    run("close", "circuits_of_a_shop:shop", "bank.charge")
    assert states() == {"bank.charge": "closed"}


def test_a_job_type_without_a_policy_can_be_left_alone_too() -> None:
    run("open", "email.send")
    assert states() == {"bank.charge": "closed", "email.send": "open"}


def test_what_is_no_job_type_is_refused(control: dict[bytes, bytes]) -> None:
    with pytest.raises(UnknownJobTypeError, match=r"bank\.chage"):
        run("open", "bank.chage")
    with pytest.raises(UsageError, match="one job type"):
        run("open", "circuits_of_a_shop:shop")
    assert control == {}
