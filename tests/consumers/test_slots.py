"""Slots: shares by weight, no starvation, never more jobs than slots."""

import itertools
import queue
import random
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.consumers.records import Assignment, JobRecord
from headrace.consumers.slots import LOW_WATER, LaneBuffer, Slots
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders

shop = Pipeline("shop")


@shop.job("a.b")
def handler() -> None: ...


def lane(priority: str) -> Lane:
    return Lane("shop", "default", priority)


def record(priority: str, offset: int, assignment: Assignment | None = None) -> JobRecord:
    own = lane(priority)
    job = JobHeaders(str(offset), "a.b", "", 0, own.topic)
    assignment = assignment or Assignment(own.topic, 0, 1)
    return JobRecord(job, b"", b"", own, 0, offset, assignment, handler, 1.0)


class Bench:
    """Slots whose jobs end when the test says so."""

    def __init__(self, count: int, *priorities: str) -> None:
        self.started: list[JobRecord] = []
        self.slots = Slots(count, self.started.append)
        self.buffers = {name: self.slots.add_lane(lane(name)) for name in priorities}

    def offer(self, priority: str, count: int, first: int = 0) -> None:
        records = [record(priority, number) for number in range(first, first + count)]
        self.slots.offer(self.buffers[priority], records)

    def end(self, ended: JobRecord) -> None:
        self.slots.finished(self.buffers[ended.lane.priority], ended)

    def run(self, starts: int) -> Counter[str]:
        """End jobs one by one until so many more have been started; count them by priority."""
        before = len(self.started)
        done = before - self.slots.used
        while len(self.started) < before + starts:
            self.end(self.started[done])
            done += 1
        return Counter(each.lane.priority for each in self.started[before : before + starts])


@pytest.mark.parametrize("count", [1, 7])
def test_busy_lanes_share_the_slots_by_their_weights(count: int) -> None:
    bench = Bench(count, "high", "normal", "low")
    for priority in ("low", "normal", "high"):
        bench.offer(priority, 2_000)
    share = bench.run(1_000)
    assert abs(share["high"] - 600) <= 10
    assert abs(share["normal"] - 300) <= 10
    assert abs(share["low"] - 100) <= 10


def test_the_share_of_an_idle_lane_goes_to_the_others_by_their_weights() -> None:
    bench = Bench(2, "high", "normal", "low")
    bench.offer("normal", 2_000)
    bench.offer("low", 2_000)
    share = bench.run(1_000)
    assert abs(share["normal"] - 750) <= 10
    assert abs(share["low"] - 250) <= 10


def test_a_lane_alone_gets_every_slot() -> None:
    bench = Bench(4, "high", "low")
    bench.offer("low", 500)
    assert bench.run(400) == {"low": 400}


def test_a_lane_that_was_idle_does_not_catch_up_on_what_it_did_not_use() -> None:
    bench = Bench(1, "high", "low")
    bench.offer("low", 3_000)
    bench.run(1_000)
    bench.offer("high", 3_000)
    share = bench.run(700)
    assert abs(share["high"] - 600) <= 5
    assert abs(share["low"] - 100) <= 5


def test_no_lane_starves_however_many_heavier_ones_are_busy() -> None:
    bench = Bench(1, "critical", "high", "low")
    bench.offer("critical", 5_000)
    bench.offer("high", 5_000)
    bench.offer("low", 5_000)
    bench.run(1_000)
    lows = [n for n, each in enumerate(bench.started) if each.lane.priority == "low"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(lows)]
    assert len(lows) > 50
    assert max(gaps) <= 20


def test_jobs_of_one_lane_start_in_the_order_in_which_they_came() -> None:
    bench = Bench(3, "high", "low")
    bench.offer("high", 50)
    bench.offer("low", 50)
    bench.run(60)
    for priority in ("high", "low"):
        offsets = [each.offset for each in bench.started if each.lane.priority == priority]
        assert offsets == sorted(offsets)


def test_withdrawn_jobs_are_not_started_and_their_bytes_are_free() -> None:
    bench = Bench(1, "high")
    bench.offer("high", 10)
    buffer = bench.buffers["high"]
    taken = bench.slots.withdraw(buffer, lambda each: each.offset % 2 == 0)
    assert [each.offset for each in taken] == [2, 4, 6, 8]  # 0 runs already
    bench.run(5)
    assert [each.offset for each in bench.started] == [0, 1, 3, 5, 7, 9]
    assert (buffer.bytes, len(buffer)) == (0, 0)


def test_jobs_whose_partition_was_taken_away_are_skipped_without_a_slot() -> None:
    bench = Bench(1, "high")
    gone = Assignment("shop.default.high", 0, 1)
    buffer = bench.buffers["high"]
    bench.offer("high", 1)
    stale = [record("high", number, gone) for number in range(1, 4)]
    bench.slots.offer(buffer, [*stale, record("high", 4)])
    gone.closed = True
    bench.end(bench.started[0])
    assert [each.offset for each in bench.started] == [0, 4]
    assert (bench.slots.used, buffer.running, buffer.bytes) == (1, 1, 0)


def test_what_runs_is_known_by_partition_and_offset() -> None:
    bench = Bench(2, "high")
    bench.offer("high", 3)
    buffer = bench.buffers["high"]
    assert [(record.partition, record.offset) for record, _ in bench.slots.started(buffer)] == [
        (0, 0),
        (0, 1),
    ]
    bench.end(bench.started[0])
    assert [(record.partition, record.offset) for record, _ in bench.slots.started(buffer)] == [
        (0, 1),
        (0, 2),
    ]


def test_paused_slots_start_nothing_until_they_resume() -> None:
    bench = Bench(1, "high")
    bench.offer("high", 2)
    bench.slots.pause()
    bench.end(bench.started[0])
    assert len(bench.started) == 1
    bench.slots.resume()
    assert len(bench.started) == 2


def test_more_slots_start_more_jobs_and_fewer_stop_none() -> None:
    bench = Bench(1, "high")
    bench.offer("high", 10)
    bench.slots.resize(4)
    assert len(bench.started) == 4
    bench.slots.resize(1)
    for ended in list(bench.started[:3]):
        bench.end(ended)
    assert len(bench.started) == 4
    bench.end(bench.started[3])
    assert len(bench.started) == 5


def test_the_lane_is_told_when_its_buffer_runs_low() -> None:
    bench = Bench(1, "high")
    bench.offer("high", LOW_WATER + 3)
    room = bench.buffers["high"].room
    assert not room.is_set()
    bench.run(2)
    assert room.is_set()


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["high", "normal", "low"]), st.integers(0, 5)), max_size=60
    ),
    count=st.integers(1, 5),
)
def test_a_free_slot_never_stands_beside_a_waiting_job(
    steps: list[tuple[str, int]], count: int
) -> None:
    bench = Bench(count, "high", "normal", "low")
    ended = 0
    for priority, number in steps:
        bench.offer(priority, number, first=len(bench.started) * 10)
        waiting = sum(map(len, bench.buffers.values()))
        assert bench.slots.used <= count
        assert bench.slots.used == count or not waiting
        if ended < len(bench.started):
            bench.end(bench.started[ended])
            ended += 1


def test_threads_that_really_run_jobs_never_exceed_the_slots() -> None:
    slots_count, jobs = 3, 600
    inbox: queue.SimpleQueue[JobRecord | None] = queue.SimpleQueue()
    slots = Slots(slots_count, inbox.put)
    buffers: dict[str, LaneBuffer] = {p: slots.add_lane(lane(p)) for p in ("high", "low")}
    lock, running, most, done = threading.Lock(), [0], [0], threading.Semaphore(0)

    def work() -> None:
        while (each := inbox.get()) is not None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            with lock:
                running[0] -= 1
            slots.finished(buffers[each.lane.priority], each)
            done.release()

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    chance = random.Random(3)
    for number in range(jobs):
        priority = chance.choice(["high", "low"])
        slots.offer(buffers[priority], [record(priority, number)])
    assert all(done.acquire(timeout=30) for _ in range(jobs))
    for _ in workers:
        inbox.put(None)
    for worker in workers:
        worker.join()
    assert most[0] <= slots_count
    assert slots.used == 0


def test_a_job_that_has_ended_before_its_start_returns_frees_its_slot() -> None:
    started: list[JobRecord] = []

    def start_and_end(job: JobRecord) -> None:
        started.append(job)
        slots.finished(buffer, job)

    slots = Slots(1, start_and_end)
    buffer = slots.add_lane(lane("normal"))
    ends = threading.Thread(
        target=slots.offer,
        args=(buffer, [record("normal", number) for number in range(5_000)]),
        daemon=True,
    )
    ends.start()
    ends.join(timeout=10)

    assert not ends.is_alive()
    assert [job.offset for job in started] == list(range(5_000))
    assert slots.used == buffer.running == 0
