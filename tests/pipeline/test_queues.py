"""Queues and the lanes that they make."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import yaml

from headrace.deploy.compose import render_compose
from headrace.pipeline import DeclarationError, Lane, Pipeline, Pool, Queue


@dataclass
class Refund:
    order: str


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
        ({"name": "mail", "priorities": ("dedup",)}, "taken by Headrace's own topics"),
        ({"name": "mail", "dedup_window": timedelta(seconds=-1)}, "dedup_window=.*must be"),
        ({"name": "mail", "dedup_window": 60}, "dedup_window=60 must be a timedelta"),
        ({"name": "mail", "priorities": "low"}, "is one text"),
        ({"name": "mail", "pool": "threads"}, "pool='threads' is unknown"),
        ({"name": "mail", "partitions": 0}, "partitions=0 must be 1 or more"),
        (
            {"name": "pay", "priorities": ("high", "low"), "ordered": True},
            r"each priority is a lane of its own.*give one, priorities=\('high',\), or leave",
        ),
        ({"name": "pay", "priorities": (), "ordered": True}, "has no priorities"),
        ({"name": "delay", "ordered": True}, "taken by Headrace's own topics"),
    ],
)
def test_a_queue_that_cannot_work_is_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        Queue(**arguments)


def test_an_ordered_queue_has_one_lane() -> None:
    shop = Pipeline("shop", queues=[Queue("payments", ordered=True)])
    assert [lane.topic for lane in shop.topology.lanes()] == ["shop.payments.normal"]
    assert shop.queues["payments"].default_priority == "normal"


def test_the_one_priority_of_an_ordered_queue_may_be_chosen() -> None:
    assert Queue("payments", ("critical",), ordered=True).priorities == ("critical",)


def test_a_queue_is_not_ordered_unless_it_says_so() -> None:
    assert not Queue("payments").ordered


def test_a_job_type_of_an_ordered_queue_goes_to_its_one_lane_and_to_no_other() -> None:
    shop = Pipeline("shop", queues=[Queue("payments", ordered=True)])

    @shop.job("payment.capture")
    def capture(order: str) -> None: ...

    assert capture.policy.priority == "normal"
    with pytest.raises(DeclarationError, match="has no priority 'high'"):
        shop.declare("payment.refund", Refund, priority="high")


def test_the_compose_file_of_an_ordered_queue_has_a_worker_for_its_one_priority() -> None:
    shop = Pipeline("shop", queues=[Queue("payments", ordered=True)])
    document = yaml.safe_load(render_compose(shop, "shop.jobs:shop"))
    assert [name for name in document["services"] if name.startswith("worker-")] == [
        "worker-normal"
    ]


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
    names += [topology.workers, topology.letters, topology.audit]
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
