"""What heartbeats tell together: who is alive, who is gone since when, what nobody serves."""

from typing import Any

from headrace.processors.workers import SeenProcess, Standing, WorkerView, by_topic
from headrace.processors.workers.view import standing_of
from headrace.schemas.heartbeats import Heartbeat, ServedPartition, ServedTopic

LANE, OTHER = "shop.default.high", "shop.media.normal"
NOW = 1_000_000
INTERVAL = 5_000


def beat(name: str, *partitions: ServedPartition, topic: str = LANE, **more: Any) -> Heartbeat:
    made = Heartbeat(name, "worker", "1", "host", 1, NOW - 60_000, NOW, INTERVAL)
    return made._replace(served=(ServedTopic(topic, partitions),), **more)


def seen(made: Heartbeat, ago: int = 0) -> SeenProcess:
    return SeenProcess(made, NOW - ago, standing_of(made, NOW - ago, NOW))


def view(*processes: SeenProcess) -> WorkerView:
    return WorkerView("shop", NOW, processes, {LANE: 3, OTHER: 1}, (LANE, OTHER))


def part(number: int, running: int = 0, oldest: int | None = None) -> ServedPartition:
    return ServedPartition(number, running, oldest)


def test_a_process_is_gone_once_it_was_silent_for_three_of_its_own_heartbeats() -> None:
    assert seen(beat("a"), 3 * INTERVAL).standing is Standing.ALIVE
    assert seen(beat("a"), 3 * INTERVAL + 1).standing is Standing.GONE
    assert seen(beat("a", interval=60_000), 100_000).standing is Standing.ALIVE


def test_a_process_that_said_goodbye_is_stopped_however_long_ago() -> None:
    assert seen(beat("a", stopped=True), 0).standing is Standing.STOPPED
    assert seen(beat("a", stopped=True), 10 * INTERVAL).standing is Standing.STOPPED


def test_partitions_of_the_living_alone_are_served() -> None:
    shown = view(
        seen(beat("lives", part(0))),
        seen(beat("died", part(1)), 60_000),
        seen(beat("left", part(2), stopped=True)),
    )
    missing = shown.unserved([LANE])
    assert [(each.partition, each.last.beat.name) for each in missing if each.last] == [
        (1, "died"),
        (2, "left"),
    ]
    owner = shown.owner(LANE, 0)
    assert owner is not None
    assert owner.beat.name == "lives"
    assert shown.owner(LANE, 1) is None


def test_a_lane_that_nobody_ever_served_is_named_without_an_owner() -> None:
    (missing,) = view().unserved([OTHER])
    assert (missing.topic, missing.partition, missing.last) == (OTHER, 0, None)
    assert len(by_topic(view().unserved())[LANE]) == 3
    assert view().unserved(["shop.deleted"]) == ()


def test_a_partition_that_moved_counts_for_whoever_told_of_it_last() -> None:
    before = seen(beat("before", part(0, 1, NOW - 9_000)), 2_000)
    shown = view(seen(beat("after", part(0, 2, NOW - 1_000)), 500), before)
    owner = shown.owner(LANE, 0)
    assert owner is not None
    assert owner.beat.name == "after"
    assert shown.running(LANE, 0) == 2
    assert shown.oldest_start(LANE, 0) == NOW - 1_000


def test_what_the_dead_ran_does_not_run_any_more() -> None:
    shown = view(seen(beat("died", part(0, 1, NOW - 90_000)), 60_000))
    assert shown.oldest_start(LANE, 0) is None
    assert shown.running(LANE, 0) == 0
    assert [each.beat.name for each in shown.gone] == ["died"]


def test_the_json_names_who_is_gone_since_when_and_what_nobody_serves() -> None:
    told = view(seen(beat("died", part(1)), 60_000)).as_json()
    (process,) = told["processes"]
    assert (process["name"], process["standing"]) == ("died", "gone")
    assert process["seen"] == "1970-01-01T00:15:40.000Z"
    owners = {(each["topic"], each["partition"]): each["last_owner"] for each in told["unserved"]}
    assert owners[LANE, 1] == "died"
    assert owners[LANE, 0] is None
