"""Circuits without Kafka: when they open and close, and what a lane does meanwhile."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.consumers.circuits import CircuitGate, Circuits
from headrace.pipeline import CircuitPolicy, DeclarationError, Pipeline, Queue
from headrace.pipeline.circuits import (
    FORGOTTEN,
    Circuit,
    circuit_record,
    circuits_in,
    job_type_of,
    read_circuit,
)
from headrace.processors.statistics.breaker import Bucket, judge

POLICY = CircuitPolicy(error_share=0.5, min_jobs=10, open_for=timedelta(seconds=30), trial_jobs=3)
NOW = 1_700_000_035_000
START = NOW - NOW % 10_000


def minute(*ended: tuple[int, int], now: int = NOW) -> list[Bucket]:
    """Buckets of the last minute, the newest last, of successes and failures."""
    last = now - now % 10_000
    padded = [(0, 0)] * (6 - len(ended)) + list(ended)
    return [Bucket(last - 10_000 * (5 - n), *each) for n, each in enumerate(padded)]


def opened(until: int, at: int | None = None) -> Circuit:
    return Circuit("mail", True, at or until - 30_000, until, 3, "statistics")


def judged(buckets: list[Bucket], circuit: Circuit | None = None, now: int = NOW) -> Circuit | None:
    return judge("mail", POLICY, buckets, circuit, now)


def test_a_circuit_opens_when_too_many_of_enough_attempts_failed() -> None:
    found = judged(minute((3, 4), (2, 1)))
    assert found is not None
    assert found.state(NOW) == "open"
    assert found.until == NOW + 30_000
    assert "5 of 10" in found.reason


@pytest.mark.parametrize("ended", [(6, 4), (0, 9), (0, 0)])
def test_it_stays_closed_below_the_share_or_the_number(ended: tuple[int, int]) -> None:
    assert judged(minute(ended)) is None


def test_it_stays_open_for_its_time() -> None:
    assert judged(minute((0, 50)), opened(NOW + 1)) is None


def test_trial_jobs_that_end_well_close_it() -> None:
    found = judged(minute((0, 50), (0, 0), (2, 1)), opened(START - 1))
    assert found is not None
    assert (found.is_open, found.state(NOW)) == (False, "closed")


def test_trial_jobs_that_fail_open_it_again() -> None:
    found = judged(minute((0, 50), (0, 0), (1, 2)), opened(START - 1))
    assert found is not None
    assert (found.state(NOW), found.until) == ("open", NOW + 30_000)


def test_too_few_trial_jobs_judge_nothing_for_a_while() -> None:
    assert judged(minute((1, 1)), opened(START - 1)) is None
    again = judged(minute(), opened(NOW - 90_000))
    assert again is not None
    assert (again.state(NOW), again.until) == ("half-open", NOW)


def test_what_opened_it_does_not_open_it_again_once_it_is_closed() -> None:
    closed = Circuit("mail", False, NOW - 20_000, 0, 3, "statistics")
    assert judged(minute((0, 50), (0, 0), (0, 0), (0, 0)), closed) is None
    assert judged(minute((0, 50), (0, 0), (0, 0), (0, 12)), closed) is not None


def test_nobody_waits_for_ever_for_statistics_that_do_not_run() -> None:
    assert opened(NOW).state(NOW + FORGOTTEN - 1) == "half-open"
    assert opened(NOW).state(NOW + FORGOTTEN) == "closed"


def test_a_circuit_comes_back_from_the_topic_as_it_was_written() -> None:
    topology = Pipeline("shop").topology
    circuit = Circuit("a/b c", True, 1, 2, 3, "me", "because")
    record = circuit_record(topology, circuit)
    assert record.value is not None
    assert circuits_in({record.key: record.value, b"cancel/1": b"{}"}) == {"a/b c": circuit}
    assert job_type_of(b"cancel/1") is None
    assert job_type_of(None) is None
    assert read_circuit("x", b"nonsense") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_share": 0},
        {"error_share": 1.1},
        {"min_jobs": 0},
        {"trial_jobs": 0},
        {"open_for": timedelta(seconds=1)},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=next(iter(wrong))):
        CircuitPolicy(**wrong)


def test_an_ordered_queue_takes_no_circuit() -> None:
    shop = Pipeline("shop", queues=[Queue("pay", ordered=True)])
    with pytest.raises(DeclarationError, match="ordered"):
        shop.job("charge", circuit=POLICY)


# -- what a lane does ------------------------------------------------------------------------------


class Gate:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        self.circuits = Circuits()
        self.sent_back: list[int] = []
        monkeypatch.setattr("headrace.consumers.settling.settled", lambda *given: given[1])

        def record(_: Any, back: Any) -> None:
            assert not back.counted
            self.sent_back.append(back.due)

        rules: Any = None
        self.gate = CircuitGate(self.circuits, record, rules, lambda: self.now)

    def passes(self, count: int, job_type: str = "mail") -> int:
        jobs: Any = [(SimpleNamespace(headers=SimpleNamespace(job_type=job_type)), None)] * count
        return len(list(self.gate.pass_on(jobs)))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def test_jobs_of_an_open_circuit_come_back_when_it_is_half_open(gate: Gate) -> None:
    gate.circuits.take("mail", opened(NOW + 30_000))
    assert gate.passes(5) == 0
    assert gate.passes(5, "other") == 5
    assert len(gate.sent_back) == 5
    assert all(NOW + 30_000 <= due < NOW + 32_000 for due in gate.sent_back)


def test_a_half_open_circuit_lets_trial_jobs_through_and_renews_them(gate: Gate) -> None:
    gate.circuits.take("mail", opened(NOW))
    assert gate.passes(2) == 2
    assert gate.passes(5) == 1
    assert gate.passes(5) == 0
    gate.circuits.take("mail", opened(NOW - 1))
    assert gate.passes(5) == 3


def test_a_closed_circuit_holds_nothing(gate: Gate) -> None:
    gate.circuits.take("mail", opened(NOW + 30_000))
    gate.circuits.take("mail", Circuit("mail", False, NOW, 0, 3, "me"))
    assert not gate.circuits.some
    assert gate.passes(5) == 5
    gate.circuits.take("mail", opened(NOW))
    gate.circuits.take("mail", None)
    assert gate.passes(5) == 5
