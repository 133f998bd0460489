"""A scheduler starts only on delay tiers that keep what waits in them.

What can go wrong: somebody has changed a topic by hand, or made it with other tools; then jobs are
deleted before they are due, or a wrong clock of a producer decides how long they wait.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from headrace.pipeline import TopicError
from headrace.pipeline.topics import check_tiers
from tests.guarantees.conftest import new_stage
from tests.support.stage import Stage, wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path)
    yield stage
    stage.close()


def alter(stage: Stage, tier: str, settings: Mapping[str, str]) -> None:
    """As an operator with `kafka-configs.sh` would."""
    entries: Any = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    topic = stage.topic(f"delay.{tier}")
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": stage.kafka.bootstrap_servers})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(10)

    def told() -> bool:
        (answer,) = admin.describe_configs([ConfigResource(resource.restype, topic)]).values()
        found = answer.result(10)
        return all(found[name].value == value for name, value in settings.items())

    wait_until("the broker tells of the change", told)


def refusal(stage: Stage) -> str:
    with pytest.raises(TopicError) as raised:
        check_tiers(stage.pipeline, stage.kafka)
    return str(raised.value)


def test_tiers_as_they_are_made_keep_what_waits_in_them(stage: Stage) -> None:
    check_tiers(stage.pipeline, stage.kafka)
    alter(stage, "24h", {"retention.ms": "-1"})
    check_tiers(stage.pipeline, stage.kafka)


def test_everything_that_would_lose_jobs_is_named_with_the_command_that_mends_it(
    stage: Stage,
) -> None:
    alter(stage, "5m", {"message.timestamp.type": "CreateTime"})
    alter(stage, "24h", {"retention.ms": "86399999"})
    alter(stage, "soon", {"cleanup.policy": "compact,delete"})
    told = refusal(stage).splitlines()
    assert len(told) == 4
    said = dict(line.removeprefix("delay tier ").split(": ", 1) for line in told[:3])
    assert "message.timestamp.type is CreateTime" in said[stage.topic("delay.5m")]
    assert (
        "retention.ms is 86399999 (23h59m59s999ms), shorter than" in said[stage.topic("delay.24h")]
    )
    assert "cleanup.policy is compact,delete" in said[stage.topic("delay.soon")]
    assert "headrace topics apply" in told[3]


def test_a_scheduler_does_not_start_on_such_a_tier_and_applying_mends_it(stage: Stage) -> None:
    alter(stage, "20s", {"message.timestamp.type": "CreateTime", "retention.ms": "19000"})
    with stage.process("scheduler") as scheduler:
        assert scheduler.process.wait(30) == 1
        assert (
            f"error: delay tier {stage.topic('delay.20s')}: message.timestamp" in scheduler.text()
        )
        assert "retention.ms is 19000 (19s)" in scheduler.text()
        assert "Traceback" not in scheduler.text()
    stage.apply()
    check_tiers(stage.pipeline, stage.kafka)
