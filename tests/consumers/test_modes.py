"""Which lanes a worker serves, by its mode and options."""

from typing import Any

import pytest

from headrace.consumers.modes import duties
from headrace.pipeline import Pipeline, Queue, SettingsError
from headrace.pipeline.settings import WorkerSettings, load


@pytest.fixture
def shop() -> Pipeline:
    pipeline = Pipeline(
        "shop", queues=[Queue("mail"), Queue("media", pool="process", priorities=("normal", "low"))]
    )

    @pipeline.job("mail.send")
    def send(to: str) -> None: ...

    @pipeline.job("mail.digest")
    def digest(to: str) -> None: ...

    @pipeline.job("media.resize", queue="media")
    def resize(path: str) -> None: ...

    return pipeline


def topics(
    pipeline: Pipeline, settings: dict[str, Any] | None = None, **narrowed: Any
) -> list[str]:
    worker = load(WorkerSettings, **(settings or {}))
    return [lane.topic for lane in duties(pipeline, worker, **narrowed).lanes]


def test_by_default_every_lane_is_served_and_due_records_are_moved_by_another_process(
    shop: Pipeline,
) -> None:
    assert len(topics(shop)) == 5
    assert not duties(shop, load(WorkerSettings)).scheduler


def test_queue_and_priority_options_narrow_what_a_mode_gives(shop: Pipeline) -> None:
    assert topics(shop, queues=["media"], priorities=["low"]) == ["shop.media.low"]


def test_thin_mode_does_everything_with_two_slots(shop: Pipeline) -> None:
    thin = duties(shop, load(WorkerSettings, worker_mode="thin"))
    assert (len(thin.lanes), thin.concurrency, thin.scheduler) == (5, 2, True)


def test_thin_mode_keeps_a_concurrency_that_was_asked_for(shop: Pipeline) -> None:
    settings = load(WorkerSettings, worker_mode="thin", worker_concurrency=7)
    assert duties(shop, settings).concurrency == 7


def test_a_specialized_worker_serves_its_priorities_only(shop: Pipeline) -> None:
    mode = {"worker_mode": "specialized", "worker_priorities": "low, normal"}
    assert topics(shop, mode) == [
        "shop.mail.normal",
        "shop.mail.low",
        "shop.media.normal",
        "shop.media.low",
    ]


def test_a_job_type_with_a_queue_of_its_own_can_have_its_own_workers(shop: Pipeline) -> None:
    mode = {"worker_mode": "job-specialized", "worker_job_types": "media.resize"}
    assert topics(shop, mode) == ["shop.media.normal", "shop.media.low"]


def test_a_job_type_that_shares_its_queue_cannot_be_served_alone(shop: Pipeline) -> None:
    mode = {"worker_mode": "job-specialized", "worker_job_types": "mail.send"}
    with pytest.raises(SettingsError, match=r"shares queue 'mail' with mail\.digest.*of its own"):
        topics(shop, mode)


def test_a_scheduler_has_no_lanes(shop: Pipeline) -> None:
    work = duties(shop, load(WorkerSettings, worker_mode="scheduler"))
    assert work.lanes == ()
    assert work.scheduler


@pytest.mark.parametrize(
    ("settings", "narrowed", "named"),
    [
        ({"worker_mode": "specialized", "worker_priorities": "urgent"}, {}, "urgent"),
        ({"worker_mode": "job-specialized", "worker_job_types": "mail.sent"}, {}, r"mail\.sent"),
        ({}, {"queues": ["meda"]}, "meda"),
        ({}, {"priorities": ["hgih"]}, "hgih"),
        ({}, {"queues": ["media"], "priorities": ["high"]}, "high"),
    ],
)
def test_a_name_that_fits_no_lane_is_refused_and_the_known_ones_are_told(
    shop: Pipeline, settings: dict[str, Any], narrowed: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        topics(shop, settings, **narrowed)
