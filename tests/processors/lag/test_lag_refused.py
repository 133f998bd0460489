"""What lag is told of when Kafka refuses, has lost something, or is away: never a number made up.

What can go wrong: a missing right ends everything, or shows as 0; nobody says which right it is; a
topic that was deleted, a group that was, records that are no jobs, a broker that is gone.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Producer as RawProducer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from headrace.pipeline import Pipeline
from headrace.pipeline.errors import KafkaUnavailableError, RightsError
from headrace.pipeline.settings import ExporterSettings, load
from headrace.pipeline.telemetry.lag_metrics import LagMetric
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.lag.exporter import LagExporter
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.published import read_published
from headrace.processors.lag.report import LagReport, TopicLag
from headrace.processors.lag.verdicts import Verdict
from headrace.producers import Producer
from tests.processors.test_job_history import eventually
from tests.processors.view_shop import kafka_settings, make_shop, make_topics, working
from tests.support.own_broker import OwnBroker, own_broker

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    """A broker that knows access rules."""
    with own_broker(tmp_path_factory.mktemp("guarded")) as broker:
        yield broker


def shop_on(bootstrap: str, name: str) -> Pipeline:
    """A shop with three jobs on a lane and one in a tier."""
    shop, settings = make_shop(name), kafka_settings(bootstrap)
    make_topics(shop, settings)
    with Producer(shop, kafka=settings) as producer:
        for number in range(3):
            producer.submit("greet", {"name": str(number)})
        producer.submit("greet", {"name": "later"}, delay=timedelta(hours=1))
    return shop


def lane_of(report: LagReport, topic: str) -> TopicLag:
    (found,) = (each for each in report.lanes if each.topic == topic)
    return found


def test_describe_rights_alone_tell_the_jobs_and_name_the_right_for_the_rest(
    guarded: OwnBroker, unique_name: str
) -> None:
    shop = shop_on(guarded.bootstrap, unique_name)
    for kind in (ResourceType.TOPIC, ResourceType.GROUP):
        guarded.allow_only(unique_name, AclOperation.DESCRIBE, kind)
    report = LagReader(shop, kafka_settings(guarded.bootstrap)).read()
    lane = lane_of(report, f"{unique_name}.default.normal")
    assert (lane.messages, lane.ready, lane.exact, lane.since) == (3, 3, True, None)
    assert (lane.finding.verdict, lane.due) == (Verdict.STOPPED, None)
    notes = "\n".join(report.notes)
    assert "the right READ" in notes
    assert f"topic {unique_name}." in notes or f"reading {unique_name}." in notes
    assert "DESCRIBE_CONFIGS" in notes
    assert sum(tier.messages for tier in report.tiers) == 1


@pytest.mark.parametrize("kind", [ResourceType.TOPIC, ResourceType.GROUP])
def test_without_describe_rights_it_is_an_error_that_names_them(
    guarded: OwnBroker, unique_name: str, kind: ResourceType
) -> None:
    shop = shop_on(guarded.bootstrap, unique_name)
    guarded.forbid(unique_name, AclOperation.DESCRIBE, kind)
    reader = LagReader(shop, kafka_settings(guarded.bootstrap))
    reader._cluster.seconds = 2.0
    with pytest.raises(RightsError, match=rf"{unique_name}\.[\s\S]*the right DESCRIBE"):
        reader.read()


def test_a_deleted_topic_and_a_group_that_never_was_show_no_number(
    kafka: str, unique_name: str
) -> None:
    shop, settings = shop_on(kafka, unique_name), kafka_settings(kafka)
    admin, lane = AdminClient({"bootstrap.servers": kafka}), f"{unique_name}.default.normal"
    reader = LagReader(shop, settings)
    assert lane_of(reader.read(), lane).messages == 3
    admin.delete_topics([lane])[lane].result(10)
    high = f"{unique_name}.default.high"
    admin.delete_consumer_groups([high])[high].result(10)
    report = eventually(reader.read, lambda found: not lane_of(found, lane).partitions)
    gone = lane_of(report, lane)
    assert gone.finding.verdict is Verdict.STOPPED
    assert "does not exist" in gone.finding.why
    unknown = lane_of(report, high)
    assert unknown.group is not None
    assert (unknown.group.state, unknown.without_offset) == ("dead", (0, 1))
    assert unknown.finding.verdict is Verdict.LOST


def test_records_that_are_no_jobs_count_have_an_age_and_are_worked_off(
    kafka: str, unique_name: str
) -> None:
    shop, settings = make_shop(unique_name), kafka_settings(kafka)
    make_topics(shop, settings)
    raw, lane = RawProducer({"bootstrap.servers": kafka}), f"{unique_name}.default.normal"
    for number in range(6):
        raw.produce(lane, b"\x00 junk", b"", partition=number % 2)
    raw.flush(10)
    reader = LagReader(shop, settings)
    before = lane_of(reader.read(), lane)
    assert (before.messages, before.ready) == (6, 6)
    assert before.since is not None
    with working(shop, settings):
        eventually(
            reader.read,
            lambda found: (
                lane_of(found, lane).messages == 0
                and sum(dead.messages for dead in found.dead_letters) == 6
            ),
        )


def test_an_exporter_publishes_what_one_look_of_others_then_knows(
    kafka: str, unique_name: str
) -> None:
    shop, settings = shop_on(kafka, unique_name), kafka_settings(kafka)
    metrics, lane = Metrics(role="exporter"), f"{unique_name}.default.normal"
    exporter = LagExporter(shop, settings, load(ExporterSettings), metrics)
    exporter.look()
    exporter.look()
    assert exporter.values(LagMetric.LAG_JOBS)[lane,] == 3
    assert exporter.values(LagMetric.DUE_JOBS)[lane, "+Inf"] == 1
    at = lane_of(LagReader(shop, settings).read(), lane).at
    told = read_published(settings, shop, at)
    assert told.due[lane].jobs == 1
    still = [moved.still_since for (topic, _), moved in told.progress.items() if topic == lane]
    assert any(still), "three jobs wait on some of its partitions"


def test_a_broker_that_dies_leaves_old_figures_and_an_error(
    guarded: OwnBroker, unique_name: str
) -> None:
    """The last of this module: nothing can be asked of its broker afterwards."""
    shop, settings = shop_on(guarded.bootstrap, unique_name), kafka_settings(guarded.bootstrap)
    exporter = LagExporter(shop, settings, load(ExporterSettings), Metrics(role="exporter"))
    exporter.look()
    lane = f"{unique_name}.default.normal"
    assert exporter.values(LagMetric.LAG_JOBS)[lane,] == 3
    guarded.kill()
    reader = LagReader(shop, settings)
    reader._cluster.seconds = exporter._reader._cluster.seconds = 1.0
    with pytest.raises(KafkaUnavailableError, match=guarded.bootstrap):
        reader.read()
    exporter.look()
    assert guarded.bootstrap in exporter.trouble
    assert exporter.values(LagMetric.LAG_JOBS)[lane,] == 3
