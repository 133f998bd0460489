"""Whether a broker serves: metadata, consumer groups and transactions."""

import logging
import socket
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.pipeline.broker.options import HOST

_PROBE = "headrace-readiness"
_ANSWER_SECONDS = 5.0


def listens(port: int) -> bool:
    """Whether anybody accepts connections on a port of this machine."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def serves(
    bootstrap: str, cluster_id: str | None = None, client: Mapping[str, Any] | None = None
) -> bool:
    """Whether the broker can do all that a pipeline asks of it, and is the one we mean.

    Asking makes Kafka create its internal topics for offsets and transactions, so the first
    real client needn't wait for that. It leaves one transactional id behind, nothing else.
    Takes 5 s at most for each of three questions.

    Args:
        bootstrap: `host:port`.
        cluster_id: the cluster meant; None takes any.
        client: what a client needs besides the address.
    """
    config = {**_client(bootstrap), **(client or {})}
    questions = (_answers_metadata, _answers_groups, _answers_transactions)
    try:
        return all(question(config, cluster_id) for question in questions)
    except KafkaException:
        return False


def _answers_metadata(config: dict[str, Any], cluster_id: str | None) -> bool:
    admin = AdminClient(config, logger=_quiet())
    metadata = admin.list_topics(timeout=_ANSWER_SECONDS)
    return bool(metadata.brokers) and cluster_id in (None, metadata.cluster_id)


def _answers_groups(config: dict[str, Any], cluster_id: str | None) -> bool:
    # A consumer asks for a coordinator until there is one; AdminClient, told once that there is
    # none yet, stays silent for its whole timeout
    consumer = Consumer({**config, "group.id": _PROBE}, logger=_quiet())
    try:
        consumer.committed([TopicPartition(_PROBE, 0)], timeout=_ANSWER_SECONDS)
    finally:
        consumer.close()
    return True


def _answers_transactions(config: dict[str, Any], cluster_id: str | None) -> bool:
    producer = Producer({**config, "transactional.id": _PROBE}, logger=_quiet())
    producer.init_transactions(_ANSWER_SECONDS)
    return True


def _client(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": _PROBE,
        # The coordinators' topics come up within milliseconds; the default waits 100 ms a try
        "retry.backoff.ms": 10,
        "retry.backoff.max.ms": 100,
        "error_cb": _ignore,
    }


def _ignore(error: object) -> None:
    """Failed tries are told by their outcome, not by lines on standard error."""


def _quiet() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.librdkafka")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger
