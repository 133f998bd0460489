"""Making Kafka clients: every librdkafka setting of ours stands here, with its reason."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient

from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, Protocol

ErrorCallback = Callable[[KafkaError], None]
_LOG = logging.getLogger("headrace.kafka")


def bootstrap(settings: KafkaSettings) -> str:
    """Give the broker's address: as set, or the embedded broker's if one runs here.

    Raises:
        SettingsError: Neither is there.
    """
    if settings.bootstrap_servers:
        return settings.bootstrap_servers
    from headrace.pipeline import broker  # noqa: PLC0415 - only where it is needed

    found = broker.status()
    if found.pid is None or found.bootstrap is None:
        raise SettingsError(
            "HEADRACE_BOOTSTRAP_SERVERS is empty and no embedded broker runs here (it is "
            f"{found.state.value} in {found.directory}): set it to your Kafka's host:port, or run "
            "`headrace kafka start`"
        )
    return found.bootstrap


def _common(settings: KafkaSettings, on_error: ErrorCallback | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap(settings),
        "client.id": settings.client_id,
        "security.protocol": settings.security_protocol,
        # A broker that comes back should be found again within a second or so, not ten.
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2_000,
        "logger": _LOG,
    }
    optional: Mapping[str, object] = {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": _password(settings),
        "ssl.ca.location": settings.ssl_ca_location,
        "ssl.certificate.location": settings.ssl_certificate_location,
        "ssl.key.location": settings.ssl_key_location,
    }
    config.update({name: str(value) for name, value in optional.items() if value is not None})
    if on_error is not None:
        config["error_cb"] = on_error
    return config


def _password(settings: KafkaSettings) -> str | None:
    if settings.sasl_password is not None:
        return settings.sasl_password.get_secret_value()
    if settings.sasl_password_file is None:
        return None
    try:
        return settings.sasl_password_file.read_text().strip()
    except OSError as error:
        raise SettingsError(
            f"HEADRACE_SASL_PASSWORD_FILE={settings.sasl_password_file}: {error.strerror}"
        ) from None


def make_admin(settings: KafkaSettings) -> AdminClient:
    """Make an admin client. Thread-safe."""
    return AdminClient(_common(settings, None))


def make_producer(
    settings: KafkaSettings,
    producing: ProducerSettings,
    *,
    on_error: ErrorCallback | None = None,
    **extra: Any,
) -> Producer:
    """Make an idempotent producer that waits for all in-sync replicas. Thread-safe."""
    config = _common(settings, on_error) | {
        "acks": "all",
        "enable.idempotence": True,
        # Decision 7: with more, a record that was answered for can be missing on a new partition.
        "max.in.flight.requests.per.connection": 1,
        # The same key on the same partition as Java's default partitioner puts it.
        "partitioner": "murmur2_random",
        "linger.ms": to_milliseconds(producing.producer_linger),
        "compression.type": producing.producer_compression,
        "delivery.timeout.ms": to_milliseconds(producing.producer_delivery_timeout),
        "queue.buffering.max.kbytes": producing.producer_queue_bytes // 1024,
        "queue.buffering.max.messages": 1_000_000,
        # What a lane or tier takes is the broker's to say; this must not be the tighter bound.
        "message.max.bytes": 10_485_760,
    }
    return Producer(config | extra)


def make_transactional_producer(
    settings: KafkaSettings, producing: ProducerSettings, transactional_id: str, **extra: Any
) -> Producer:
    """Make the producer of hand-overs; further librdkafka settings in `extra` win.

    A transaction begun right after the last one is answered CONCURRENT_TRANSACTIONS and backs
    off 100 ms by default: hence the short back-off. An abandoned transaction hides what stands
    behind it from committed readers until its timeout: hence ten seconds. Its records go in few requests
    instead of dozens, since the client lingers; nothing waits for that, because whoever commits a
    transaction flushes first. Only failed writes are told.
    """
    config: dict[str, Any] = {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": 10_000,
        "delivery.timeout.ms": 9_000,
        # A topic that is missing is refused after a second, not after half a minute.
        "topic.metadata.propagation.max.ms": 1_000,
        "retry.backoff.ms": 2,
        "retry.backoff.max.ms": 20,
        "linger.ms": 100,
        "delivery.report.only.error": True,
    }
    return make_producer(settings, producing, **(config | extra))


def make_heartbeat_producer(settings: KafkaSettings) -> Producer:
    """Make the producer of heartbeats: what is not taken within seconds is worth nothing any more.

    Not idempotent: a refused record makes an idempotent producer begin anew.
    """
    config: dict[str, Any] = {
        "enable.idempotence": False,
        "acks": 1,
        "delivery.timeout.ms": 5_000,
        "queue.buffering.max.messages": 10,
    }
    return make_producer(settings, ProducerSettings.model_construct(), **config)


def make_consumer(
    settings: KafkaSettings,
    group: str,
    *,
    on_error: ErrorCallback | None = None,
    committed_only: bool = False,
    **extra: Any,
) -> Consumer:
    """Make a group member that commits by hand and refuses to guess an offset.

    One thread must own it: a tight poll loop starves every other caller.

    Args:
        settings: Where Kafka is.
        group: The consumer group.
        on_error: Told of errors that no call returns.
        committed_only: Whether records of open and aborted transactions stay hidden.
        extra: Further librdkafka settings; they win.
    """
    config = _common(settings, on_error) | _group(settings, group) | {
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed" if committed_only else "read_uncommitted",
        # Defaults that hurt a job queue: 100,000 records prefetched per partition, and a second
        # of silence after the prefetch queue was full.
        "queued.min.messages": 2_000,
        "queued.max.messages.kbytes": 4_096,
        "max.partition.fetch.bytes": 262_144,
        "fetch.queue.backoff.ms": 10,
        "fetch.wait.max.ms": 500,
    }  # fmt: skip
    return Consumer(config | extra)


def _group(settings: KafkaSettings, group: str) -> dict[str, Any]:
    if settings.group_protocol is Protocol.CONSUMER:
        return {"group.id": group, "group.protocol": "consumer"}
    return {
        "group.id": group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": to_milliseconds(settings.session_timeout),
        "heartbeat.interval.ms": max(1, to_milliseconds(settings.session_timeout) // 10),
    }


def make_reader(settings: KafkaSettings, **extra: Any) -> Consumer:
    """Make a consumer that belongs to no group: it assigns itself and commits nothing."""
    config = _common(settings, None) | {
        "group.id": "headrace-reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 50,
        # Or a second of silence after the prefetch queue was full
        "fetch.queue.backoff.ms": 10,
    }  # fmt: skip
    return Consumer(config | extra)
