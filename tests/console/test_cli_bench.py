"""`headrace bench` on the real broker: it measures, and leaves nothing behind."""

import json

import pytest

from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, load
from tests.console.conftest import CommandLine, eventually

GENTLE = ("--jobs", "300", "--rate", "50", "--seconds", "0.5")
SMALL = {f"HEADRACE_{name}_PARTITIONS": "1" for name in ("TOPIC", "DELAY", "EVENTS")}


@pytest.mark.kafka
def test_a_cluster_is_measured_and_left_as_it_was(headrace: CommandLine, kafka: str) -> None:
    done = headrace.ok("bench", *GENTLE, "--bootstrap", kafka, "--json", env=SMALL)
    found = json.loads(done)
    assert found["bootstrap"] == kafka
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert min(found["submit_per_s"], found["confirmed_per_s"], found["drain_per_s"]) > 0
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    admin = make_admin(load(KafkaSettings, bootstrap_servers=kafka))

    def left() -> list[str]:
        names = [*admin.list_topics(timeout=20).topics]
        names += [group.group_id for group in admin.list_consumer_groups().result().valid]
        return [name for name in names if name.startswith("bench-")]

    eventually("no topic and no group is left", lambda: not left())


def test_without_any_kafka_it_says_what_to_do(headrace: CommandLine) -> None:
    done = headrace("bench", env={"HEADRACE_BOOTSTRAP_SERVERS": ""})
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "HEADRACE_BOOTSTRAP_SERVERS" in done.stderr
