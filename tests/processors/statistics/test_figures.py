"""The parts that figures are made of: quantiles, sets of offsets, forecasts, what is published."""

import json
from typing import Any

import pytest
from ddsketch import DDSketch
from hypothesis import given
from hypothesis import strategies as st

from headrace.console.commands.stats import spark
from headrace.pipeline import Pipeline, Queue
from headrace.processors.statistics import publication
from headrace.processors.statistics.book import Book
from headrace.processors.statistics.forecast import Sample, forecast, recent
from headrace.processors.statistics.offsets import OffsetSet
from headrace.processors.statistics.reading import Statistics, statistics_of
from headrace.processors.statistics.sketch import Sketch
from headrace.schemas.transitions import Transition

NOW = 1_700_000_035_000
DURATIONS = st.lists(st.integers(0, 10_000_000), max_size=60)


# -- quantiles -------------------------------------------------------------------------------------


@given(DURATIONS)
def test_quantiles_are_those_of_ddsketch(durations: list[int]) -> None:
    ours, theirs = Sketch(), DDSketch(0.01)
    for duration in durations:
        ours.add(duration)
        theirs.add(duration)
    for share in (0, 0.5, 0.9, 0.99, 1):
        assert ours.quantile(share) == theirs.get_quantile_value(share)


@given(DURATIONS, DURATIONS)
def test_merged_sketches_are_the_sketch_of_all(first: list[int], second: list[int]) -> None:
    one, other, both = Sketch(), Sketch(), Sketch()
    for sketch, durations in ((one, first), (other, second), (both, first + second)):
        for duration in durations:
            sketch.add(duration)
    one.merge(Sketch.from_json(json.loads(json.dumps(other.as_json()))))
    assert one.bins == both.bins
    assert one.count == len(first) + len(second)


def test_a_start_before_the_submission_as_two_clocks_tell_it_counts_as_no_wait() -> None:
    sketch = Sketch()
    sketch.add(-3)
    assert sketch.quantile(0.5) == 0


# -- offsets ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40)))
def test_an_offset_is_new_once(offsets: list[int]) -> None:
    ours, plain = OffsetSet(), set[int]()
    for offset in offsets:
        assert ours.add(offset) == (offset not in plain)
        plain.add(offset)
    assert {offset for offset in range(41) if offset in ours} == plain
    again = OffsetSet(ours.flat)
    assert again.flat == ours.flat
    assert all(start <= end for start, end in zip(ours.flat[::2], ours.flat[1::2], strict=True))


def test_what_comes_in_order_is_one_run_and_memory_is_bounded() -> None:
    ours = OffsetSet(most=10)
    assert all(ours.add(offset) for offset in range(1_000))
    assert ours.flat == [0, 999]
    for offset in range(2_000, 3_000, 2):
        ours.add(offset)
    assert len(ours.flat) == 20
    assert 2_998 in ours


# -- forecast --------------------------------------------------------------------------------------


def samples(*jobs: int, step: int = 5_000) -> list[Sample]:
    return [Sample(NOW + number * step, count) for number, count in enumerate(jobs)]


def test_a_backlog_that_grows_goes_on_growing() -> None:
    found = forecast(samples(0, 50, 100, 150))
    assert found is not None
    assert found.at == NOW + 75_000
    assert found.jobs == pytest.approx(750)
    assert found.growth == pytest.approx(10)


def test_a_backlog_never_falls_below_nothing() -> None:
    found = forecast(samples(300, 200, 100, 0))
    assert found is not None
    assert found.jobs == 0
    assert found.growth == pytest.approx(-20)


def test_noise_around_a_level_forecasts_the_level() -> None:
    found = forecast(samples(100, 102, 98, 100, 102, 98, 100))
    assert found is not None
    assert found.jobs == pytest.approx(100, abs=10)


@pytest.mark.parametrize("given_samples", [[], samples(1, 2, 3), samples(1, 2, 3, 4, step=100)])
def test_too_little_says_nothing(given_samples: list[Sample]) -> None:
    assert forecast(given_samples) is None


def test_old_samples_are_left_out() -> None:
    found = samples(1, 2, 3)
    assert recent(found, found[-1].at) == found
    assert recent(found, NOW + 305_000) == found[2:]


# -- what is published -----------------------------------------------------------------------------


def pipeline() -> Pipeline:
    return Pipeline("shop", queues=[Queue("default"), Queue("mail")])


def told(offset: int, lane: str, **changes: Any) -> Transition:
    times = {"time": NOW, "created": NOW - 300, "started": NOW - 200, "ended": NOW}
    place = {"partition": 0, "attempt": 1, "step": 0, "generation": 0, "worker": "w"}
    fields: dict[str, Any] = {"job_type": "a/b c", "state": "succeeded", **times, **place}
    return Transition(job_id=str(offset), lane=lane, offset=offset, **(fields | changes))


def published(*partitions: list[Transition], at: int = NOW, behind: int = 0) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    for number, batch in enumerate(partitions):
        book = Book(number, ("acme",), lambda _: False)
        book.take(0, NOW, batch)
        source = publication.source(number, at, behind=behind, lanes_counted=True)
        for record in (*publication.cells(number, [book.rows], at), source):
            assert record.value is not None
            records[record.key] = record.value
    return records


def read(records: dict[bytes, bytes]) -> Statistics:
    return statistics_of(pipeline(), records)


def succeeded(found: Statistics, **where: str) -> int:
    window = found.total(**where).windows.get("1m")
    return 0 if window is None else window.figures["succeeded"]


def test_figures_come_back_as_they_were_published_and_can_be_summed() -> None:
    lanes = ("shop.default.normal", "shop.mail.high")
    batches = [told(1, lanes[0]), told(2, lanes[0], tenant="acme")], [told(1, lanes[1])]
    found = read(published(*map(list, batches)))
    assert succeeded(found) == 3
    assert succeeded(found, queue="mail", priority="high") == 1
    assert succeeded(found, tenant="acme") == 1
    assert succeeded(found, job_type="a/b c") == 3
    assert {key: succeeded(found, queue=key[0]) for key in found.by("queue")} == {
        ("default",): 2,
        ("mail",): 1,
    }
    window = found.total().windows["1m"]
    assert window.seconds == 55
    assert window.rate("succeeded") == pytest.approx(3 / 55)
    assert found.total().minutes["succeeded"][-1] == 3
    assert found.is_complete
    assert json.dumps(found.total().as_json())


def test_one_cell_that_two_partitions_told_of_is_summed() -> None:
    lane = "shop.default.normal"
    assert succeeded(read(published([told(1, lane)], [told(2, lane)]))) == 2


def test_figures_that_nobody_renewed_are_not_told_any_more() -> None:
    records = published([told(1, "shop.default.normal")])
    later = publication.source(0, NOW + 2_000, behind=0, lanes_counted=True)
    assert later.value is not None
    assert succeeded(read(records)) == 1
    assert succeeded(read(records | {later.key: later.value})) == 0


def test_figures_are_neither_fresh_nor_complete_when_the_process_is_gone_or_behind() -> None:
    batch = [told(1, "shop.default.normal")]
    assert read(published(batch)).is_fresh(NOW + 5_000)
    assert not read(published(batch)).is_fresh(NOW + 60_000)
    assert not read(published(batch, behind=3)).is_complete
    assert not read({}).is_complete
    assert read({}).at is None


def test_a_foreign_record_is_left_out() -> None:
    records = published([told(1, "shop.default.normal")])
    records |= {b"cell/x": b"{}", b"cell/1/a": b"[]", b"lane/y": b"nonsense", b"\xff": b"1"}
    assert succeeded(read(records)) == 1


def test_a_backlog_comes_back_with_its_forecast() -> None:
    record = publication.backlog("shop.mail.high", samples(0, 50, 100, 150), NOW)
    assert record.value is not None
    found = read({record.key: record.value}).backlogs["shop.mail.high"]
    assert found.samples[-1].jobs == 150
    assert found.forecast is not None
    assert found.as_json()["growth"] == pytest.approx(10)


def test_bars_are_as_high_as_their_values() -> None:
    assert spark([0, 1, 7, 8]) == "·▂▇█"
    assert spark([0, 0]) == "··"
