"""What `JobHistory` tells must be what was done: each way in which a job can end, or wait.

A worker and a scheduler run against a real broker; the views are asked from outside, as an operator
asks them, and never through anything that the worker knows.
"""

import logging
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka import Producer as RawProducer
from confluent_kafka.admin import AdminClient

from headrace.consumers import commit_metadata
from headrace.consumers.commit_metadata import CommitMetadata
from headrace.pipeline import Pipeline, TopicError
from headrace.processors import job_list
from headrace.processors.dead_letter_stats import count
from headrace.processors.dead_letter_view import DeadLetters
from headrace.processors.job_history import UNKNOWN, JobHistory
from headrace.processors.job_list import JobFilter
from headrace.processors.job_search import created_in
from headrace.processors.job_view import JobView
from headrace.processors.repair.letter_filter import LetterFilter
from headrace.producers import Producer
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition, encode_batch
from tests.processors.view_shop import (
    kafka_settings,
    make_shop,
    make_topics,
    scheduling,
    working,
)

pytestmark = pytest.mark.kafka
T = TypeVar("T")
JUNK = b"\x00not avro at all \xff\xfe"


def eventually(look: Callable[[], T], holds: Callable[[T], bool], seconds: float = 30) -> T:
    """Look until it holds; gives what was seen."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"after {seconds} s still {seen}"


class Lived:
    """A shop in which jobs have lived: their ids by what became of them."""

    def __init__(self, bootstrap: str) -> None:
        self.kafka = kafka_settings(bootstrap)
        self.shop = make_shop(f"v{uuid.uuid4().hex[:8]}")
        self.before = time.time_ns() // 1_000_000
        make_topics(self.shop, self.kafka)
        self.ids: dict[str, str] = {}
        self.submit()
        self.write_junk()
        with working(self.shop, self.kafka), scheduling(self.shop, self.kafka):
            eventually(
                lambda: self.history.newest(JobFilter(state=JobState.DEAD)),
                lambda dead: len(dead) == 3,
            )
            eventually(lambda: self.view("succeeded").summary.state, lambda s: s == "succeeded")

    @property
    def history(self) -> JobHistory:
        return JobHistory(self.shop, self.kafka)

    @property
    def letters(self) -> DeadLetters:
        return DeadLetters(self.shop, self.kafka)

    def view(self, name: str) -> JobView:
        found = self.history.find(self.ids[name])
        assert found is not None
        return found

    def submit(self) -> None:
        with Producer(self.shop, kafka=self.kafka) as producer:
            sent = {
                "succeeded": producer.submit("greet", {"name": "Jürgen ☕"}, tenant="acme"),
                "failed": producer.submit("fail", {"order": 17}, key="kunde-1"),
                "rejected": producer.submit("reject", {"why": "nie wieder"}),
                "queued": producer.submit("idle", {"number": 1}),
                "delayed": producer.submit("greet", {"name": "später"}, delay=timedelta(hours=1)),
                "deduplicated": producer.submit("idle", {"number": 2}, dedup_key="order-1"),
            }
            self.ids |= {name: receipt.job_id for name, receipt in sent.items()}

    def write_junk(self) -> None:
        raw = RawProducer({"bootstrap.servers": self.kafka.bootstrap_servers})
        topic = f"{self.shop.name}.default.normal"
        raw.produce(topic, JUNK, key=b"k", headers=[("x-origin", b"legacy")])
        assert raw.flush(10) == 0


@pytest.fixture(scope="module")
def lived(kafka: str) -> Lived:
    return Lived(kafka)


def test_a_job_that_succeeded_is_shown_with_its_arguments_its_result_and_its_attempt(
    lived: Lived,
) -> None:
    view = lived.view("succeeded")
    job = view.summary
    assert (job.state, job.job_type, job.queue, job.priority) == (
        "succeeded",
        "greet",
        "default",
        "normal",
    )
    assert (job.tenant, job.key, job.attempt, job.reason) == ("acme", None, 1, None)
    assert lived.before <= job.created <= job.updated
    assert view.arguments is not None
    assert view.arguments.value == {"name": "Jürgen ☕", "at": "PT1S"}
    assert view.result is not None
    assert view.result.value == "Grüß Gott, Jürgen ☕"
    assert view.location is not None
    assert view.location.topic == f"{lived.shop.name}.default.normal"
    assert not view.lies_there
    assert [each.state for each in view.transitions] == ["succeeded"]


def test_a_job_that_was_retried_and_died_is_shown_with_its_history(lived: Lived) -> None:
    view = lived.view("failed")
    assert [(each.state, each.attempt) for each in view.transitions] == [
        ("retrying", 1),
        ("dead", 2),
    ]
    assert view.transitions[0].due is not None
    assert view.transitions[0].error_message == "order 17 is broken"
    assert (view.summary.state, view.summary.reason) == ("dead", "exhausted")
    assert view.summary.key == "kunde-1"
    assert view.lies_there
    assert view.location is not None
    assert view.location.topic == f"{lived.shop.name}.default.dlq"
    assert view.arguments is not None
    assert view.arguments.value == {"order": 17}


def test_a_job_that_no_worker_has_seen_is_shown_as_queued_where_it_lies(lived: Lived) -> None:
    for name, number in (("queued", 1), ("deduplicated", 2)):
        view = lived.view(name)
        assert (view.summary.state, view.transitions) == ("queued", ())
        assert view.lies_there
        assert view.location is not None
        assert view.location.topic == f"{lived.shop.name}.idle.normal"
        assert view.arguments is not None
        assert view.arguments.value == {"number": number}


def test_a_delayed_job_is_shown_with_its_due_time(lived: Lived) -> None:
    view = lived.view("delayed")
    assert view.summary.state == "delayed"
    assert view.summary.due == view.summary.created + 3_600_000
    assert view.lies_there
    assert view.location is not None
    assert view.location.topic == f"{lived.shop.name}.delay.30m"


def test_bytes_that_are_no_job_are_found_by_the_id_that_the_list_shows_and_dumped(
    lived: Lived,
) -> None:
    (found,) = (job for job in lived.history.newest() if job.reason == "undecodable")
    view = lived.history.find(found.job_id)
    assert view is not None
    assert view.lies_there
    assert view.arguments is not None
    assert view.arguments.dump is not None
    assert "00 6e 6f 74 20 61 76 72 6f" in view.arguments.dump
    assert "|.not avro at all|" in view.arguments.dump


def test_an_unknown_id_is_not_found_and_it_is_said_what_was_searched(lived: Lived) -> None:
    found = lived.history.search("nobody")
    assert found.view is None
    assert found.searched.offsets > 0
    assert f"{lived.shop.name}.events" in found.searched.topics
    assert found.searched.oldest is not None
    assert found.searched.oldest >= lived.before


def test_the_list_has_every_job_once_the_newest_first(lived: Lived) -> None:
    found = lived.history.newest(limit=100)
    assert set(lived.ids.values()) < {job.job_id for job in found}
    assert len(found) == len(lived.ids) + 1
    assert [job.updated for job in found] == sorted((j.updated for j in found), reverse=True)
    assert lived.history.newest(limit=2) == found[:2]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (JobFilter(state=JobState.SUCCEEDED), {"succeeded"}),
        (JobFilter(state=JobState.QUEUED), {"queued", "deduplicated"}),
        (JobFilter(state=JobState.DELAYED), {"delayed"}),
        (JobFilter(state=JobState.RETRYING), set()),
        (JobFilter(state=JobState.DEAD, job_type="fail"), {"failed"}),
        (JobFilter(queue="idle"), {"queued", "deduplicated"}),
        (JobFilter(tenant="acme"), {"succeeded"}),
        (JobFilter(state=JobState.CANCELLED), set()),
    ],
)
def test_a_list_holds_what_was_asked_for(lived: Lived, wanted: JobFilter, names: set[str]) -> None:
    found = lived.history.newest(wanted)
    assert {job.job_id for job in found} == {lived.ids[name] for name in names}


def test_since_leaves_out_what_changed_earlier(lived: Lived) -> None:
    now = time.time_ns() // 1_000_000
    assert lived.history.newest(JobFilter(since=now + 60_000)) == ()
    assert len(lived.history.newest(JobFilter(since=lived.before))) == len(lived.ids) + 1


def test_a_job_id_tells_when_it_was_made_or_nothing(lived: Lived) -> None:
    made = created_in(lived.ids["queued"])
    assert made is not None
    assert lived.before <= made <= time.time_ns() // 1_000_000
    assert created_in(lived.ids["deduplicated"]) is None
    assert created_in("not an id") is None


def test_dead_letters_are_listed_the_last_first_with_reason_error_and_attempts(
    lived: Lived,
) -> None:
    found = lived.letters.newest()
    assert [letter.died for letter in found] == sorted((x.died for x in found), reverse=True)
    assert {(x.job_type, x.reason, x.error_type, x.attempts) for x in found} == {
        ("fail", "exhausted", "ValueError", 2),
        ("reject", "rejected", "Reject", 1),
        ("", "undecodable", "InvalidHeadersError", 0),
    }
    assert lived.letters.newest(limit=1) == found[:1]
    assert lived.letters.newest(LetterFilter(queues=("idle",))) == []


def test_a_dead_letter_is_shown_in_full(lived: Lived) -> None:
    letter = lived.letters.find(lived.ids["failed"])
    assert letter is not None
    assert 'raise ValueError(f"order {order} is broken")' in letter.traceback
    assert [past.attempt for past in letter.history] == [1, 2]
    assert letter.origin is not None
    assert letter.origin.startswith(f"{lived.shop.name}.default.normal/")
    assert letter.worker
    assert lived.letters.arguments(letter).value == {"order": 17}
    assert letter.headers["ce_type"] == "fail"


def test_a_dead_letter_of_foreign_bytes_keeps_them_and_their_headers(lived: Lived) -> None:
    (letter,) = (x for x in lived.letters.select() if x.reason == "undecodable")
    assert lived.letters.find(letter.job_id) == letter
    assert letter.payload == JUNK
    assert letter.headers == {"x-origin": "legacy"}
    assert lived.letters.arguments(letter).dump is not None


def test_stats_count_by_queue_reason_type_and_fingerprint(lived: Lived) -> None:
    stats = count(lived.letters.select())
    assert stats.total == 3
    assert {tally.value: tally.count for tally in stats.tallies["queue"]} == {"default": 3}
    assert {tally.value for tally in stats.tallies["job_type"]} == {"", "fail", "reject"}
    letter = lived.letters.find(lived.ids["failed"])
    assert letter is not None
    prints = {tally.value: tally for tally in stats.tallies["fingerprint"]}
    assert prints[letter.fingerprint.id].title == (
        "ValueError: order # is broken in view_shop.py:fail"
    )
    assert sum(prints[letter.fingerprint.id].per_hour.values()) == 1


def test_a_type_that_the_reader_does_not_declare_is_decoded_by_its_published_schema(
    lived: Lived,
) -> None:
    other = Pipeline(lived.shop.name, queues=lived.shop.queues.values())
    view = JobHistory(other, lived.kafka).find(lived.ids["succeeded"])
    assert view is not None
    assert view.arguments is not None
    assert view.arguments.value["name"] == "Jürgen ☕"


def test_a_record_of_strangers_on_the_events_topic_costs_a_warning_not_the_list(
    kafka: str, unique_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw = RawProducer({"bootstrap.servers": kafka})
    mine = transition("a-job", "succeeded")
    for value in (JUNK, encode_batch([mine]), b"", b"\xc3\x01" + b"12345678"):
        raw.produce(shop.topology.events, value)
    raw.flush(10)
    with caplog.at_level(logging.WARNING, "headrace.events"):
        assert [job.job_id for job in JobHistory(shop, settings).newest()] == ["a-job"]
    assert f"{shop.topology.events}/" in caplog.text


def test_transitions_merge_by_their_order_whatever_the_order_they_are_read_in(
    kafka: str, unique_name: str
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw = RawProducer({"bootstrap.servers": kafka})
    dead, retrying = transition("a", "dead", step=2), transition("a", "retrying", step=1)
    for partition, each in ((0, dead), (1, retrying), (0, retrying)):
        raw.produce(shop.topology.events, encode_batch([each]), partition=partition)
    raw.flush(10)
    history = JobHistory(shop, settings)
    view = history.find("a")
    assert view is not None
    assert [each.state for each in view.transitions] == ["retrying", "dead"]
    assert [job.state for job in history.newest()] == ["dead"]


def test_a_short_list_of_a_long_history_is_right_and_reads_only_its_end(
    kafka: str, unique_name: str
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw = RawProducer({"bootstrap.servers": kafka})
    times: dict[str, list[int]] = {"succeeded": [], "dead": []}
    for number in range(3_000):
        state = "dead" if number % 1_000 == 0 else "succeeded"
        each = transition(f"job-{number}", state, time=time.time_ns() // 1_000_000)
        times[state].append(each.time)
        raw.produce(shop.topology.events, encode_batch([each]), partition=number % 2)
        if number % 20 == 0:
            raw.flush(10)
    raw.flush(10)
    progress: list[int] = []
    history = JobHistory(shop, settings, lambda done, _: progress.append(done))
    newest = history.newest(limit=5)
    assert [job.updated for job in newest] == sorted(times["succeeded"], reverse=True)[:5]
    assert max(progress) < 500
    dead = history.newest(JobFilter(state=JobState.DEAD), limit=2)
    assert [job.job_id for job in dead] == ["job-2000", "job-1000"]


def test_what_was_stored_late_does_not_hide_what_happened_last(
    kafka: str, unique_name: str
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw = RawProducer({"bootstrap.servers": kafka, "linger.ms": 500})
    for partition in (1, 0):
        for number in range(partition, 120, 2):
            each = transition(f"job-{number}", "succeeded", time=1_000 + number)
            raw.produce(shop.topology.events, encode_batch([each]), partition=partition)
        raw.flush(10)
    newest = JobHistory(shop, settings).newest(limit=5)
    assert [job.job_id for job in newest] == [f"job-{119 - n}" for n in range(5)]


def test_a_job_that_is_finished_above_the_commit_point_is_not_shown_as_queued(
    kafka: str, unique_name: str
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    with Producer(shop, kafka=settings) as producer:
        first, second = (producer.submit("idle", {"number": n}, key="one") for n in (1, 2))
        at = second.confirm(10)
    metadata = commit_metadata.encode(CommitMetadata(finished=(range(1, 2),)), 0)
    place = TopicPartition(at.topic, at.partition, 0, metadata)
    admin = AdminClient({"bootstrap.servers": kafka})
    request = ConsumerGroupTopicPartitions(at.topic, [place])
    admin.alter_consumer_group_offsets([request])[at.topic].result(10)
    history = JobHistory(shop, settings)
    assert [job.job_id for job in history.newest()] == [first.job_id]
    views = [history.find(receipt.job_id) for receipt in (first, second)]
    assert [view.summary.state if view else None for view in views] == ["queued", UNKNOWN]


def test_looking_back_is_given_up_at_a_bound_and_it_is_said_how_far_it_went(
    kafka: str, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw = RawProducer({"bootstrap.servers": kafka})
    for number in range(400):
        now = time.time_ns() // 1_000_000
        batch = encode_batch([transition(f"job-{number}", "succeeded", time=now)])
        raw.produce(shop.topology.events, batch, partition=0)
        raw.flush(10)
    monkeypatch.setattr(job_list, "MOST_KEPT", 200)
    history = JobHistory(shop, settings)
    assert history.listing(limit=1).back_to is None
    listing = history.listing(JobFilter(state=JobState.DEAD))
    assert listing.jobs == ()
    assert listing.back_to is not None
    assert listing.back_to > 1_000_000


def test_a_record_that_is_done_but_of_which_no_transition_is_kept_is_unknown(
    kafka: str, unique_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_TRANSITIONS", "false")
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    with Producer(shop, kafka=settings) as producer:
        job_id = producer.submit("greet", {"name": "x"}).job_id
    history = JobHistory(shop, settings)

    def state() -> str:
        view = history.find(job_id)
        assert view is not None
        return view.summary.state

    assert state() == "queued"
    with working(shop, settings):
        assert eventually(state, lambda seen: seen != "queued") == UNKNOWN


def test_a_pipeline_without_topics_is_an_error_that_says_how_to_make_them(
    kafka: str, unique_name: str
) -> None:
    history = JobHistory(make_shop(unique_name), kafka_settings(kafka))
    with pytest.raises(TopicError, match="headrace topics apply"):
        history.newest()


def transition(job_id: str, state: str, *, step: int = 0, time: int = 5_000) -> Transition:
    return Transition(job_id, "greet", state, "nowhere", 0, 0, 1, step, 0, time, 1_000, "a-worker")
