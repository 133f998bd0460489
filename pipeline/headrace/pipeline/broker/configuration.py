"""The settings of the embedded broker: Kafka's, the JVM's and the logging's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.pipeline.broker.layout import Layout
from headrace.pipeline.broker.options import HOST, BrokerOptions, Proxied
from headrace.pipeline.broker.security import LISTENER, BrokerSecurity

NODE_ID = 1


@dataclass(frozen=True)
class Ports:
    """Where clients connect, and where the broker talks to its own controller."""

    client: int
    controller: int


def server_properties(
    layout: Layout,
    ports: Ports,
    proxied: Sequence[Proxied] = (),
    security: BrokerSecurity | None = None,
) -> dict[str, str]:
    """All of `server.properties` for one directory."""
    if security is not None:
        return _secured(layout, ports, security)
    # What a broker advertises goes by the listener, so each proxy has one of its own.
    named = [(f"PROXIED{number}", each) for number, each in enumerate(proxied, 1)]
    listeners = [("PLAINTEXT", ports.client), ("CONTROLLER", ports.controller)]
    listeners += [(name, each.port) for name, each in named]
    advertised = [("PLAINTEXT", ports.client)]
    advertised += [(name, each.advertised) for name, each in named]
    protocols = [_ROLES["listener.security.protocol.map"]]
    protocols += [f"{name}:PLAINTEXT" for name, _ in named]
    return {
        **behaviour(),
        "listeners": _addresses(listeners),
        "advertised.listeners": _addresses(advertised),
        "listener.security.protocol.map": ",".join(protocols),
        "controller.quorum.bootstrap.servers": f"{HOST}:{ports.controller}",
        "log.dirs": str(layout.data),
    }


def _secured(layout: Layout, ports: Ports, security: BrokerSecurity) -> dict[str, str]:
    """One listener for clients and one for the controller, both of which ask who comes."""
    clients = [(LISTENER, ports.client)]
    return {
        **behaviour(),
        "listeners": _addresses([*clients, ("CONTROLLER", ports.controller)]),
        "advertised.listeners": _addresses(clients),
        "listener.security.protocol.map": f"{LISTENER}:{security.protocol},CONTROLLER:SASL_SSL",
        "controller.quorum.bootstrap.servers": f"{HOST}:{ports.controller}",
        "log.dirs": str(layout.data),
        **security.properties(),
    }


def _addresses(listeners: Sequence[tuple[str, int]]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in listeners)


def behaviour() -> dict[str, str]:
    """What makes a single Kafka node a good broker for development and tests.

    Nothing here depends on where it runs, so a container takes the same.
    """
    return {**_ROLES, **_ONE_NODE, **_GROUPS, **_STORAGE}


_ROLES = {
    "node.id": str(NODE_ID),
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic made by a typing error would swallow jobs: topics are made by `topics apply`
    "auto.create.topics.enable": "false",
    # After a kill the controller believes for so long that the old process lives, and keeps the
    # new one waiting: 9 s by default
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}

# One node cannot replicate, and each partition of an internal topic costs start and memory
_ONE_NODE = {
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
}

_GROUPS = {
    # A first member needn't wait for others: nobody has hundreds of workers here
    "group.initial.rebalance.delay.ms": "0",
    # A second worker gets its share at once instead of after the pause that spares big clusters
    "group.consumer.assignment.interval.ms": "0",
    # A killed worker's partitions move on after 6 s instead of 45
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.min.session.timeout.ms": "1000",
    # A pipeline that rests over the holidays finds its offsets again
    "offsets.retention.minutes": str(30 * 24 * 60),
    # An abandoned transaction hides what stands behind it until this scan meets it
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}

ABORTING_NOTHING = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": str(24 * 3600 * 1000)
}
"""A broker that only looks after its data leaves transactions whose time is over to the next start."""

_STORAGE = {
    "log.segment.bytes": str(128 * 1024 * 1024),
    "log.retention.check.interval.ms": "30000",
    "log.segment.delete.delay.ms": "10000",
    # The default of 128 MiB would be a third of our heap
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
}


def properties_text(properties: Mapping[str, str]) -> str:
    """Java's properties format. Backslashes and what is not ASCII are escaped."""
    lines = (f"{name}={_escaped(value)}" for name, value in properties.items())
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return "".join(_escaped_character(character) for character in value)


def _escaped_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def java_arguments(
    options: BrokerOptions, layout: Layout, classpath: Sequence[Path]
) -> tuple[str, ...]:
    """What stands between `java` and the main class."""
    return (
        *(("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC") if options.quick_start else ()),
        f"-Xmx{options.heap_mb}m",
        # A broker that lost a thread to a full heap looks alive and answers nobody
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={layout.logging.as_uri()}",
        "-classpath",
        ":".join(str(path) for path in classpath),
    )


def argument_file(arguments: Sequence[str]) -> str:
    """Java's @-file format, which keeps 46 jars out of every process listing."""
    return "".join(f"{_quoted(argument)}\n" for argument in arguments)


def _quoted(argument: str) -> str:
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'


def logging_properties(layout: Layout) -> str:
    """log4j2: one file of at most 10 MB and two older ones, from INFO up."""
    return properties_text(
        {
            "status": "error",
            # Else the log ends before Kafka has told how its stop went
            "shutdownHook": "disable",
            "appender.file.type": "RollingFile",
            "appender.file.name": "file",
            "appender.file.fileName": str(layout.log),
            "appender.file.filePattern": f"{layout.log}.%i",
            "appender.file.layout.type": "PatternLayout",
            "appender.file.layout.pattern": "[%d] %p %m (%c{1})%n",
            "appender.file.policies.type": "Policies",
            "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
            "appender.file.policies.size.size": "10MB",
            "appender.file.strategy.type": "DefaultRolloverStrategy",
            "appender.file.strategy.max": "2",
            "rootLogger.level": "info",
            # While a group's coordinator is away it tells thousands of times a second that it tries
            # again, and what went wrong before is rolled out of the files.
            "logger.markers.name": "kafka.coordinator.transaction"
            ".TransactionMarkerRequestCompletionHandler",
            "logger.markers.level": "warn",
            "rootLogger.appenderRef.file.ref": "file",
        }
    )
