"""Queues and the lanes that they make."""

from typing import Any

import pytest

from headrace.pipeline import DeclarationError, Lane, Pipeline, Pool, Queue


def test_a_queue_has_three_priorities_and_normal_is_its_default() -> None:
    queue = Queue("mail")
    assert queue.priorities == ("high", "normal", "low")
    assert queue.default_priority == "normal"
    assert queue.pool is Pool.DEFAULT


def test_without_normal_the_last_priority_is_the_default() -> None:
    assert Queue("mail", ("critical", "low")).default_priority == "low"


def test_a_pool_may_be_given_as_text() -> None:
    assert Queue("media", pool="process").pool is Pool.PROCESS


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "My Queue"}, "lower-case"),
        ({"name": "a" * 41}, "40 characters at most"),
        ({"name": "delay"}, "taken by Headrace's own topics"),
        ({"name": "mail", "priorities": ()}, "has no priorities"),
        ({"name": "mail", "priorities": ("high", "high")}, "names a priority twice"),
        ({"name": "mail", "priorities": ("High",)}, "lower-case"),
        ({"name": "mail", "priorities": ("dlq",)}, "taken by Headrace's own topics"),
        ({"name": "mail", "priorities": "low"}, "is one text"),
        ({"name": "mail", "pool": "threads"}, "pool='threads' is unknown"),
        ({"name": "mail", "partitions": 0}, "partitions=0 must be 1 or more"),
    ],
)
def test_a_queue_that_cannot_work_is_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        Queue(**arguments)


def test_every_queue_and_priority_is_a_lane_with_a_topic_of_its_own() -> None:
    shop = Pipeline("shop", queues=[Queue("mail"), Queue("media", ("low",))])
    assert [lane.topic for lane in shop.topology.lanes()] == [
        "shop.mail.high",
        "shop.mail.normal",
        "shop.mail.low",
        "shop.media.low",
    ]


def test_no_two_topics_of_a_pipeline_share_a_name() -> None:
    shop = Pipeline("shop", queues=[Queue("mail"), Queue("mail-dlq"), Queue("events", ("soon",))])
    topology = shop.topology
    names = [lane.topic for lane in topology.lanes()]
    names += [topology.dead_letters(queue) for queue in shop.queues]
    names += [topology.events, topology.control, topology.schedules, topology.schemas]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("priority", "weight"), [("critical", 100), ("high", 60), ("normal", 30), ("low", 10)]
)
def test_a_lane_weighs_as_its_priority_does(priority: str, weight: int) -> None:
    assert Lane("shop", "mail", priority).weight == weight


def test_a_priority_of_another_name_weighs_as_normal() -> None:
    assert Lane("shop", "mail", "bulk").weight == 30


def test_a_lane_is_found_by_its_topic() -> None:
    topology = Pipeline("shop").topology
    assert topology.lane_of_topic("shop.default.low") == Lane("shop", "default", "low")
    assert topology.lane_of_topic("shop.events") is None
