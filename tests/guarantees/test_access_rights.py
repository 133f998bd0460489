"""The whole pipeline on a cluster that refuses whatever no rule allows, with exactly the rendered rules.

What can go wrong: a role lacks a right, and the first retry, replay or restart that needs it fails in
production; or a role has more than it needs, and whoever steals its password has that too.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._listoffsets import OffsetSpec
from pydantic import SecretStr

from headrace.consumers.clock import now_ms
from headrace.deploy.access import Operation, Resource, Role, rules_of, user_of
from headrace.deploy.granting import OPERATIONS, set_passwords
from headrace.deploy.lane_reading import read_lane
from headrace.pipeline.broker import Proof
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, StoreSettings
from headrace.pipeline.topics.api import NewTopic
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.ready import ReadyReader
from headrace.processors.scale_in.running_replays import RunningReplays
from headrace.processors.store.engine import open_store
from headrace.processors.store.reading import StoreReader
from headrace.producers import DeliveryError, SubmitError
from headrace.schemas.errors import HeadraceError
from headrace.schemas.states import JobState
from tests.support import jobs
from tests.support.secured import PASSWORD, SecuredBroker, as_environment, secured_broker
from tests.support.stage import PATIENCE, Stage, wait_until

pytestmark = pytest.mark.kafka
IMPLIED = {
    Operation.READ: {Operation.DESCRIBE},
    Operation.WRITE: {Operation.DESCRIBE},
    Operation.ALTER: {Operation.DESCRIBE},
    Operation.ALTER_CONFIGS: {Operation.DESCRIBE_CONFIGS},
}
"""What Kafka allows along with a right."""


@pytest.fixture(scope="module")
def broker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


class Crew:
    """A pipeline's stages, one for each role that runs something, and one for the administrator."""

    def __init__(self, broker: SecuredBroker, name: str, folder: Path) -> None:
        self.broker = broker
        self.pipeline = jobs.make(name)
        broker.welcome(self.pipeline)
        set_passwords(broker.admin, {"onlooker": PASSWORD})
        self.folder = folder

    def settings(self, role: Role) -> KafkaSettings:
        return self.broker.settings(user_of(self.pipeline, role))

    def stage(self, role: Role) -> Stage:
        return Stage(self.pipeline, self.settings(role), self.folder)

    def admin(self, role: Role) -> AdminClient:
        return make_admin(self.settings(role))


@pytest.fixture(scope="module")
def crew(broker: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> Crew:
    crew = Crew(broker, "trights", tmp_path_factory.mktemp("stage"))
    crew.stage(Role.TOPICS).apply()
    return crew


def test_every_process_does_its_work_with_the_rights_of_its_role(crew: Crew) -> None:
    """Submitted, delayed, retried, deduplicated, in a child process, dead; counted, and looked at."""
    view, worker = crew.stage(Role.PROJECTOR), crew.stage(Role.WORKER)
    scheduler, producing = crew.stage(Role.SCHEDULER), crew.stage(Role.PRODUCER)
    journal = producing.journal()
    with worker.worker(), scheduler.scheduler(), producing.producer() as producer:
        work = producing.pipeline.job_type("work")
        given: list[tuple[Any, dict[str, Any]]] = [
            (work.job(journal=journal.path, tag="plain"), {}),
            (work.job(journal=journal.path, tag="again", fail=1), {}),
            (work.job(journal=journal.path, tag="once"), {"dedup_key": "order-1"}),
            (work.job(journal=journal.path, tag="later"), {"delay": timedelta(seconds=1)}),
        ]
        receipts = [producer.submit(job, **options) for job, options in given]
        child = producing.pipeline.job_type("child").job(journal=journal.path, how="well")
        receipts.append(producer.submit(child))
        dead = producer.submit(producing.pipeline.job_type("bad-result").job())
        for receipt in receipts:
            view.await_state(receipt.job_id, JobState.SUCCEEDED)
        assert view.await_state(dead.job_id, JobState.DEAD)
        assert receipts[0].result(timeout=30) == "plain done"
        exporter = crew.stage(Role.EXPORTER)
        wait_until("all is committed", lambda: exporter.lag("default.normal") == 0)
    assert [each.tag for each in journal.events("start")].count("once") == 1
    report = LagReader(crew.pipeline, crew.settings(Role.EXPORTER)).read()
    assert report.notes == ()
    ready = ReadyReader(crew.pipeline, crew.settings(Role.SCALER), timedelta(minutes=1)).read()
    assert {lane.topic: lane.ready for lane in report.lanes} == {
        name: lane.ready for name, lane in ready.items()
    }
    letters = crew.pipeline.topology.letters
    assert RunningReplays(crew.settings(Role.SCALER), letters).names(now_ms()) == []
    for stage in (view, worker, scheduler, producing, exporter):
        stage.close()


def test_an_operator_looks_and_repairs_with_the_rights_of_the_role(crew: Crew) -> None:
    view, producing = crew.stage(Role.PROJECTOR), crew.stage(Role.PRODUCER)
    with crew.stage(Role.WORKER).worker(), producing.producer() as producer:
        bad, work = (producing.pipeline.job_type(name) for name in ("bad-result", "work"))
        dead = [producer.submit(bad.job()).job_id for _ in range(2)]
        tomorrow = work.job(journal=str(crew.folder / "never"), tag="tomorrow")
        delayed = producer.submit(tomorrow, delay=timedelta(days=1)).job_id
        for job in dead:
            view.await_state(job, JobState.DEAD)
    sure = ("--yes", "--by", "ada")
    why = ("--why", "it was the other service")
    for words in (
        ("dlq list",),
        ("dlq stats",),
        ("dlq export", str(crew.folder / "letters.jsonl")),
        ("dlq import", str(crew.folder / "letters.jsonl"), "--by", "ada"),
        ("dlq replay begin", "--name", "once", "--id", dead[0], *why, "--by", "ada"),
        ("dlq replay status", "once"),
        ("dlq discard", "--id", dead[1], *why, *sure),
        ("jobs cancel", delayed, *sure),
        ("jobs list",),
        ("schedules list",),
        ("circuits list",),
        ("audit",),
        ("workers",),
        ("lag", "--over", "0s"),
    ):
        code, told = run_as(crew, Role.OPERATOR, *words)
        # A replay whose job is not run yet, lanes without workers: no failures of the command.
        assert code in (0, 3, 4), (words, told)
        assert "uthoriz" not in told, (words, told)
    for stage in (view, producing):
        stage.close()


def run_as(crew: Crew, role: Role, *words: str) -> tuple[int, str]:
    """Run a command to its end; gives its exit code and what it said."""
    with crew.stage(role).process(*words, **as_environment(crew.settings(role))) as process:
        return process.process.wait(PATIENCE), process.text()


def test_the_statistics_count_with_the_rights_of_their_role(crew: Crew) -> None:
    stage = crew.stage(Role.STATISTICS)
    variables = as_environment(crew.settings(Role.STATISTICS))
    variables["HEADRACE_STATS_DIR"] = str(crew.folder / "streams")
    with stage.process("processors statistics", **variables) as process:
        wait_until("something is published", lambda: stage.records("stats"))
        assert process.terminate() == 0
        assert "AuthorizationFailed" not in process.text()
    stage.close()


def test_the_projector_fills_its_store_with_the_rights_of_its_role(crew: Crew) -> None:
    stage, store = crew.stage(Role.PROJECTOR), crew.folder / "store.db"
    variables = as_environment(crew.settings(Role.PROJECTOR))
    variables["HEADRACE_STORE_URL"] = f"sqlite:///{store}"
    engine = open_store(StoreSettings(store_url=SecretStr(variables["HEADRACE_STORE_URL"])))
    with stage.process("processors projector", **variables) as process:
        reader = StoreReader(engine, crew.pipeline.name)
        wait_until("jobs are in it", lambda: _jobs(reader))
        assert process.terminate() == 0, process.text()
    engine.dispose()


def _jobs(reader: StoreReader) -> int:
    try:
        return sum(total.jobs for total in reader.totals())
    except HeadraceError:  # nobody has made the store yet
        return 0


def test_keda_sees_the_lag_of_a_lane(crew: Crew) -> None:
    admin, [lane, *_] = crew.admin(Role.KEDA), [*crew.pipeline.topology.lanes()]
    place = TopicPartition(lane.topic, 0)
    spec: Any = OffsetSpec
    ends = admin.list_offsets({place: spec.latest()})
    groups = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(lane.topic)])
    [committed] = [
        each for each in groups[lane.topic].result(20).topic_partitions if each.partition == 0
    ]
    assert ends[place].result(20).offset >= committed.offset >= 0


def test_why_a_lane_scales_is_told_with_the_rights_that_keda_has(crew: Crew) -> None:
    [lane, *_] = crew.pipeline.topology.lanes()
    now = read_lane(crew.pipeline, crew.settings(Role.KEDA), lane.topic)
    assert all(each.committed is not None for each in now.offsets)
    assert now.truth.unfinished == 0
    assert now.note is not None
    whole = read_lane(crew.pipeline, crew.settings(Role.EXPORTER), lane.topic)
    assert (whole.note, whole.truth.running, whole.truth.overdue) == (None, 0, 0)


def allowed(operations: Iterable[Any]) -> set[Operation]:
    """What the broker says is allowed, in our words."""
    ours: dict[AclOperation, Operation] = {theirs: own for own, theirs in OPERATIONS.items()}
    return {ours[each] for each in operations}


def told(crew: Crew, role: Role) -> dict[str, set[Operation]]:
    """What the broker says that a role may do with each topic of the pipeline."""
    names = [each for each in crew.broker.admin.list_topics(timeout=10).topics if "." in each]
    admin = crew.admin(role)  # to be kept: its end is the end of what it was asked
    found = admin.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=20
    )
    answers: dict[str, set[Operation]] = {}
    refusals: list[str] = []
    for name, future in found.items():
        try:
            answers[name] = allowed(future.result().authorized_operations or ())
        except KafkaException as error:
            answers[name] = set()
            refusals.append(error.args[0].name())
    assert set(refusals) <= {"TOPIC_AUTHORIZATION_FAILED"}
    return answers


def rendered(crew: Crew, role: Role, names: Iterable[str]) -> dict[str, set[Operation]]:
    answers: dict[str, set[Operation]] = {}
    for name in names:
        given: set[Operation] = set()
        for rule in rules_of(crew.pipeline, role):
            fits = name.startswith(rule.name) if rule.prefixed else name == rule.name
            if rule.resource is Resource.TOPIC and fits:
                given.update(rule.operations)
        answers[name] = given.union(*(IMPLIED.get(each, set()) for each in given))
    return answers


@pytest.mark.parametrize("role", Role)
def test_the_broker_allows_a_role_what_is_rendered_and_nothing_else(crew: Crew, role: Role) -> None:
    found = told(crew, role)
    assert found == rendered(crew, role, found)
    assert any(found.values())


@pytest.mark.parametrize("role", [Role.WORKER, Role.PRODUCER, Role.EXPORTER])
def test_who_only_uses_topics_can_neither_make_nor_delete_one(crew: Crew, role: Role) -> None:
    admin, control = crew.admin(role), crew.pipeline.topology.control
    for future in (
        admin.create_topics([NewTopic(f"{crew.pipeline.name}.mine", 1, 1)])[
            f"{crew.pipeline.name}.mine"
        ],
        admin.delete_topics([control])[control],
    ):
        with pytest.raises(KafkaException, match="AUTHORIZATION_FAILED"):
            future.result(20)


def test_an_exporter_cannot_submit_a_job(crew: Crew) -> None:
    bad = crew.pipeline.job_type("bad-result")
    producer = crew.stage(Role.EXPORTER).producer()
    with pytest.raises(DeliveryError, match=r"gave up .*uthorization failed.*make a new producer"):
        producer.submit(bad.job()).confirm(30)
    with pytest.raises(SubmitError, match=r"gave up .*uthorization failed"):
        producer.submit(bad.job())
    producer.close(10)


def test_a_wrong_password_gets_nowhere(crew: Crew) -> None:
    settings = crew.settings(Role.WORKER).model_copy(update={"sasl_password": SecretStr("wrong")})
    with pytest.raises(KafkaException):
        make_admin(settings).list_topics(timeout=3)


def test_certificates_prove_who_comes_and_carry_the_same_rights(kafka: str, tmp_path: Path) -> None:
    with secured_broker(tmp_path, Proof.CERTIFICATE) as broker:
        pipeline = jobs.make("tcertified")
        broker.welcome(pipeline, [Role.TOPICS, Role.KEDA])
        settings = broker.settings(user_of(pipeline, Role.TOPICS))
        Stage(pipeline, settings, tmp_path).apply()
        seen = make_admin(broker.settings(user_of(pipeline, Role.KEDA))).list_topics(timeout=10)
        assert set(seen.topics) == {lane.topic for lane in pipeline.topology.lanes()}
