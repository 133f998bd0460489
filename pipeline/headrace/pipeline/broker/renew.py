"""Renew the pins: `python -m headrace.pipeline.broker.renew VERSION > jars.json`.

Kafka is resolved by itself, its logging backend apart: resolved together, the backend's older
ideas about shared dependencies drew kafka-clients down to 3.9.1.
"""

import sys
import tempfile
from pathlib import Path

from headrace.pipeline.broker import pins, repository

_LOG4J = ("org.apache.logging.log4j", "log4j-core")
_BACKEND = ("org.apache.logging.log4j", "log4j-slf4j-impl")


def renewed(kafka: str, folder: Path) -> list[pins.Jar]:
    """Resolve one version of Kafka and fetch its jars into a folder."""
    broker = _resolve("org.apache.kafka", "kafka_2.13", kafka, folder)
    log4j = next(jar.version for jar in broker if (jar.group, jar.name) == _LOG4J)
    backend = _resolve(*_BACKEND, log4j, folder)
    known = {(jar.group, jar.name) for jar in broker}
    return broker + [jar for jar in backend if (jar.group, jar.name) not in known]


def _resolve(group: str, name: str, version: str, folder: Path) -> list[pins.Jar]:
    context = repository.maven(folder)
    root = context.create_dependency(f"{group}:{name}:{version}")
    inputs, transitive = context.resolver.resolve([root])
    artifacts = [dependency.artifact for dependency in inputs + transitive]
    return [_pin(one.groupId, one.artifactId, one.version, one.resolve()) for one in artifacts]


def _pin(group: str, name: str, version: str, path: Path) -> pins.Jar:
    return pins.Jar(group, name, version, path.stat().st_size, pins.sha256_of(path))


def main(arguments: list[str]) -> int:
    """Print the pin file of the version named, or of the one pinned now."""
    kafka = arguments[0] if arguments else pins.load().kafka
    with tempfile.TemporaryDirectory(prefix="headrace-pins-") as folder:
        sys.stdout.write(pins.dump(kafka, renewed(kafka, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
