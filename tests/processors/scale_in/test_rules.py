"""What is changed of pods and ScaledObjects, and what is left alone: from what is known of them."""

import pytest

from headrace.processors.scale_in.cluster_api import Found
from headrace.processors.scale_in.costs import ANNOTATION, MOST, changes, in_flight
from headrace.processors.scale_in.pauses import OURS, PAUSED, change_of
from headrace.processors.workers import SeenProcess, Standing, WorkerView
from headrace.schemas.heartbeats import Heartbeat, ServedPartition, ServedTopic


def pod(name: str, cost: str | None = None, *, leaving: bool = False) -> Found:
    return Found(name, "1", {} if cost is None else {ANNOTATION: cost}, leaving)


def seen(
    host: str, running: int, role: str = "worker", standing: Standing = Standing.ALIVE
) -> SeenProcess:
    served = (ServedTopic("shop.default.normal", (ServedPartition(0, running),)),)
    beat = Heartbeat(f"{host}-{running}", role, "1", host, 1, 0, 0, 5_000, served)
    return SeenProcess(beat, 0, standing)


def test_all_worker_processes_of_a_pod_count_and_nobody_else() -> None:
    view = WorkerView(
        "shop",
        0,
        (
            seen("a", 3),
            seen("a", 4),
            seen("b", 0),
            seen("c", 5, role="scheduler"),
            seen("d", 6, standing=Standing.GONE),
        ),
    )
    assert in_flight(view) == {"a": 7, "b": 0}


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        (None, 1, 1),
        (None, 0, None),
        ("1", 0, 0),
        ("10", 14, None),
        ("10", 15, None),
        ("10", 16, 16),
        ("10", 4, 4),
        ("10", 6, None),
        ("-5", 3, 3),
        ("by hand", 3, None),
    ],
)
def test_a_cost_is_written_when_idle_turns_busy_or_the_work_has_changed_by_half(
    before: str | None, now: int, after: int | None
) -> None:
    found = [each.after for each in changes([pod("a", before)], {"a": now})]
    assert found == ([] if after is None else [after])


def test_a_pod_that_nothing_is_known_of_or_that_leaves_anyway_stays_as_it_is() -> None:
    assert changes([pod("new", "4"), pod("old", leaving=True)], {"old": 3}) == []


def test_a_round_changes_few_pods_those_first_that_became_idle_or_busy() -> None:
    pods = [pod(f"more-{number:02}", "10") for number in range(MOST)] + [pod("idle", "1")]
    jobs = {each.name: 30 for each in pods} | {"idle": 0}
    found = changes(pods, jobs)
    assert len(found) == MOST
    assert found[0].pod.name == "idle"


@pytest.mark.parametrize(
    ("annotations", "replays", "changed"),
    [
        ({}, ["r1"], {PAUSED: "true", OURS: "r1"}),
        ({}, [], None),
        ({PAUSED: "true", OURS: "r1"}, ["r1"], None),
        ({PAUSED: "true", OURS: "r1"}, [], {PAUSED: None, OURS: None}),
        ({PAUSED: "true"}, ["r1"], None),
        ({PAUSED: "true"}, [], None),
        ({OURS: "r1"}, ["r1"], None),
        ({OURS: "r1"}, [], {PAUSED: None, OURS: None}),
    ],
)
def test_what_somebody_paused_or_released_by_hand_stays_so(
    annotations: dict[str, str], replays: list[str], changed: dict[str, str | None] | None
) -> None:
    assert change_of(annotations, replays) == changed
