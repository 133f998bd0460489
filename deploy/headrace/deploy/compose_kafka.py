"""The Kafka of a Compose file: one node, for development and for a single host."""

from datetime import timedelta
from typing import Any, Final

from headrace.deploy.compose_parts import (
    HOST_NETWORK,
    KAFKA_CLIENT_ADDRESS,
    KAFKA_NETWORK,
    hardened,
    healthcheck,
)
from headrace.pipeline.broker.configuration import NODE_ID, behaviour

KAFKA_VOLUME: Final = "kafka-data"
_DATA: Final = "/var/lib/kafka/data"
_HOST_PORT: Final = "${KAFKA_PORT:-9092}"
_CONTROLLER: Final = "localhost:9093"
_LISTENERS: Final = {
    "listeners": f"PLAINTEXT://:19092,HOST://:9092,CONTROLLER://{_CONTROLLER}",
    "advertised.listeners": (f"PLAINTEXT://{KAFKA_CLIENT_ADDRESS},HOST://127.0.0.1:{_HOST_PORT}"),
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,HOST:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.quorum.voters": f"{NODE_ID}@{_CONTROLLER}",
    "log.dirs": _DATA,
}
_ASK: Final = (
    "KAFKA_HEAP_OPTS=-Xmx64m /opt/kafka/bin/kafka-broker-api-versions.sh "
    f"--bootstrap-server {KAFKA_CLIENT_ADDRESS} >/dev/null"
)


def kafka_service(image: str) -> dict[str, Any]:
    """Make the service: its data on a volume, its port on the host's loopback alone."""
    return {
        "image": image,
        "hostname": "kafka",
        "environment": kafka_environment(),
        "ports": [f"127.0.0.1:{_HOST_PORT}:9092"],
        "networks": [KAFKA_NETWORK, HOST_NETWORK],
        "volumes": [f"{KAFKA_VOLUME}:{_DATA}"],
        # Each answer costs the start of a JVM, so it is asked seldom once it serves
        "healthcheck": healthcheck(
            ["CMD-SHELL", _ASK], interval=timedelta(seconds=30), start_period=timedelta(minutes=1)
        ),
        "restart": "unless-stopped",
        "stop_grace_period": "1m",
        # The image writes its configuration below /opt/kafka when it starts
        **hardened(read_only=False),
    }


def kafka_environment() -> dict[str, str]:
    """The broker's settings, as the image `apache/kafka` takes them.

    Given any, it drops its own defaults; so these are all that it needs.
    """
    properties = {**behaviour(), **_LISTENERS}
    named = {f"KAFKA_{name.upper().replace('.', '_')}": text for name, text in properties.items()}
    return {**named, "KAFKA_HEAP_OPTS": "-Xmx512m"}
