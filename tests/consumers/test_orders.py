"""Which orders count for which job, without a broker."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.orders import Orders
from headrace.pipeline.orders import (
    CancelOrder,
    SupersedeOrder,
    key_of,
    read_name,
    read_order,
    record_of,
)
from headrace.pipeline.topology import Topology
from headrace.schemas.headers import JobHeaders

NOW, LATER = 1_000, 10_000
OLD = JobHeaders("old", "mail", "", 100, "p.default.normal", supersedes="k")
NEW = JobHeaders("new", "mail", "", 200, "p.default.normal", supersedes="k")


def cancel(job: str, *, at: int = 500, until: int = LATER) -> CancelOrder:
    return CancelOrder(job, at, "anna", "", until)


def replace_by(job: JobHeaders, *, until: int = LATER) -> SupersedeOrder:
    return SupersedeOrder("mail", "k", job.job_id, job.created, job.created, until)


@pytest.mark.parametrize(
    "order",
    [
        CancelOrder("a/b", 1, "änna", 'because "of" it', 2),
        SupersedeOrder("mail/send %2F x", "k/l m/", "id", 1, 2, 3),
        SupersedeOrder("mail", "", "id", 1, 2, 3),
    ],
)
def test_an_order_is_read_as_it_was_written(order: CancelOrder | SupersedeOrder) -> None:
    record = record_of(Topology("p", ()), order)
    name = read_name(record.key)
    assert name == order.name
    assert record.key == key_of(order.name)
    assert record.value is not None
    assert read_order(order.name, record.value) == order


@pytest.mark.parametrize("key", [None, b"", b"partitions/x", b"cancel/", b"supersede/x", b"\xff"])
def test_other_records_of_the_topic_are_no_orders(key: bytes | None) -> None:
    assert read_name(key) is None


@pytest.mark.parametrize("value", [b"", b"[1]", b"7", b'{"at": []}', b"\xff", b'{"at": 1e999}'])
def test_an_order_that_cannot_be_read_is_none(value: bytes) -> None:
    assert read_order(("cancel", "x"), value) is None
    assert read_order(("supersede", "mail", "k"), value) is None


def test_a_cancelled_job_is_dropped_whatever_attempt_it_is() -> None:
    orders = Orders()
    orders.take(cancel("old"), NOW)
    assert (orders.some, Orders().some) == (True, False)
    for job in (OLD, OLD._replace(attempt=3, step=7), OLD._replace(generation=1)):
        assert orders.cancels(job) is not None
        assert orders.drops(job) is not None
    assert orders.drops(NEW) is None


def test_an_older_job_is_superseded_until_it_has_started_and_never_by_itself() -> None:
    orders = Orders()
    orders.take(replace_by(NEW), NOW)
    found = orders.drops(OLD)
    assert found is not None
    assert found.why == "superseded by new"
    assert orders.cancels(OLD) is None, "a running one goes on"
    for other in (
        NEW,
        NEW._replace(created=50),
        OLD._replace(attempt=2),
        OLD._replace(generation=1),
        OLD._replace(supersedes=None),
        OLD._replace(supersedes="l"),
        OLD._replace(job_type="other"),
        OLD._replace(created=300),
    ):
        assert orders.drops(other) is None, other


def test_of_one_millisecond_the_ids_decide_so_that_one_job_stays() -> None:
    orders = Orders()
    jobs = [NEW._replace(job_id=name) for name in "cabd"]
    for job in jobs:
        orders.take(replace_by(job), NOW)
    assert [job.job_id for job in jobs if orders.drops(job) is None] == ["d"]


def test_an_older_order_that_comes_later_changes_nothing() -> None:
    orders = Orders()
    orders.take(replace_by(NEW), NOW)
    orders.take(replace_by(OLD), NOW)
    assert orders.drops(OLD) is not None


def test_a_new_submission_of_a_cancelled_dedup_key_is_a_new_wish() -> None:
    orders = Orders()
    orders.take(cancel("old", at=500), NOW)
    assert orders.cancels(OLD._replace(dedup_key="d")) is not None
    assert orders.cancels(OLD._replace(dedup_key="d", created=501)) is None
    assert orders.cancels(OLD._replace(created=501)) is not None, "clocks differ"


def test_a_withdrawn_order_counts_no_more() -> None:
    orders = Orders()
    orders.take(cancel("old"), NOW)
    orders.withdraw(("cancel", "old"), NOW)
    assert orders.drops(OLD) is None
    assert not orders.some


def test_an_order_is_forgotten_when_its_time_is_over_and_known_as_past_until_it_is_removed() -> (
    None
):
    orders = Orders(keep_past=True)
    orders.take(cancel("old", until=2_000), NOW)
    orders.take(cancel("older", until=NOW), NOW)
    orders.take(replace_by(NEW, until=2_000), NOW)
    assert orders.past(9) == [b"cancel/older"]
    orders.prune(2_000)
    assert len(orders) == 0
    assert not orders.some
    assert set(orders.past(9)) == {b"cancel/older", b"cancel/old", b"supersede/mail/k"}
    assert len(orders.past(2)) == 2
    for name in (("cancel", "older"), ("cancel", "old"), ("supersede", "mail", "k")):
        orders.withdraw(name, 2_000)
    assert orders.past(9) == []


def test_the_removal_of_an_order_past_its_time_does_not_take_the_renewed_one_along() -> None:
    orders = Orders()
    orders.take(replace_by(NEW, until=LATER), NOW)
    orders.withdraw(("supersede", "mail", "k"), NOW)
    assert orders.drops(OLD) is not None


def test_memory_is_bounded_for_each_kind_and_the_newest_orders_stay() -> None:
    orders = Orders(most=3, keep_past=True)
    orders.take(replace_by(NEW), NOW)
    for number in range(10):
        orders.take(cancel(f"job-{number}"), NOW)
        orders.take(cancel(f"past-{number}", until=0), NOW)
    assert len(orders) == 4
    assert orders.drops(OLD) is not None
    assert [n for n in range(10) if orders.cancels(OLD._replace(job_id=f"job-{n}"))] == [7, 8, 9]
    assert len(orders.past(99)) == 3


def test_a_foreign_order_without_texts_counts() -> None:
    value = json.dumps({"at": 1, "until": LATER}).encode()
    order = read_order(("cancel", "old"), value)
    assert isinstance(order, CancelOrder)
    assert order.why == "cancelled"


@given(
    orders=st.lists(st.sampled_from(["cancel old", "cancel new", "replace"]), max_size=3),
    job=st.sampled_from([OLD, NEW, OLD._replace(supersedes=None), OLD._replace(job_type="call")]),
)
def test_the_first_look_misses_no_order(orders: list[str], job: JobHeaders) -> None:
    known = Orders()
    for order in orders:
        known.take(replace_by(NEW) if order == "replace" else cancel(order.split()[1]), NOW)
    if known.drops(job) is not None:
        assert known.may_drop(job.job_id, job.job_type, job.supersedes)
    if not orders:
        assert not known.may_drop(job.job_id, job.job_type, job.supersedes)
