"""The fixtures that every other test stands on."""

import threading

import pytest
from confluent_kafka.admin import AdminClient

from headrace.pipeline.broker import pins
from tests.conftest import KAFKA_IMAGE, container_environment


@pytest.mark.kafka
def test_the_shared_kafka_answers(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    assert len(admin.list_topics(timeout=10).brokers) >= 1


def test_the_container_gets_the_settings_of_the_embedded_broker() -> None:
    environment = container_environment(12345)
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == "PLAINTEXT://127.0.0.1:12345"
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS"] == "6000"
    assert KAFKA_IMAGE.endswith(f":{pins.load().kafka}")


def test_names_are_unique_and_fit_for_topics(unique_name: str, topic_prefix: str) -> None:
    assert unique_name == topic_prefix
    assert unique_name.isalnum()
    assert unique_name.islower()


def test_an_error_in_a_background_thread_is_recorded(thread_errors: list[str]) -> None:
    def fail() -> None:
        raise ValueError("unseen")

    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()
    assert thread_errors == ["worker-7: ValueError: unseen"]
    thread_errors.clear()
