"""From jars and settings to a broker that serves: format once, spawn, wait, diagnose."""

import base64
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.pipeline.broker import configuration, diagnosis, layout, process, readiness
from headrace.pipeline.broker.configuration import Ports
from headrace.pipeline.broker.errors import StartError, StartTimeoutError
from headrace.pipeline.broker.java import Java
from headrace.pipeline.broker.layout import Layout
from headrace.pipeline.broker.options import HOST, BrokerOptions
from headrace.pipeline.broker.state import bootstrap_of

_MAIN = "kafka.Kafka"
_FORMAT = ("kafka.tools.StorageTool", "format", "--standalone", "-t")
_PRIVATE = 0o600
_POLL_SECONDS = 0.05
_PORT_RANGE = range(20_000, 32_000)
_FORMAT_TIMEOUT = timedelta(seconds=120)  # a JVM that hangs; it takes 2 s
_STOP_TIMEOUT = timedelta(seconds=10)  # for a broker that could not be used anyway


@dataclass(frozen=True)
class Startup:
    """Everything that is settled before the broker's process begins.

    Attributes:
        behaviour: Settings of Kafka's that this start has instead of the usual ones.
    """

    options: BrokerOptions
    layout: Layout
    java: Java
    classpath: Sequence[Path]
    behaviour: Mapping[str, str] = field(default_factory=dict)

    def write_settings(self, ports: Ports) -> None:
        """Write the files that the JVM, its logging and Kafka read."""
        arguments = configuration.java_arguments(self.options, self.layout, self.classpath)
        options = self.options
        usual = configuration.server_properties(
            self.layout, ports, options.proxied, options.security
        )
        properties = {**usual, **self.behaviour}
        texts = {
            self.layout.java_arguments: configuration.argument_file(arguments),
            self.layout.properties: configuration.properties_text(properties),
            self.layout.logging: configuration.logging_properties(self.layout),
        }
        for path, text in texts.items():
            try:
                path.touch()
                path.chmod(_PRIVATE if options.security else path.stat().st_mode)
                path.write_text(text, "utf-8")
            except OSError as error:
                raise layout.unusable(path, error) from error

    def cluster_id(self) -> str:
        """Kafka's name for the data; formats the data directory if it is new.

        Raises:
            StartError: Kafka refused to format it.
        """
        known = _formatted_id(self.layout.formatted)
        return known if known is not None else self._format(new_cluster_id())

    def _format(self, cluster_id: str) -> str:
        self.options.progress("Preparing a new data directory")
        log, seconds = self.layout.formatting, _FORMAT_TIMEOUT.total_seconds()
        try:
            with log.open("wb") as said:
                done = subprocess.run(  # noqa: S603  (Java, found and checked)
                    self._command(*_FORMAT, cluster_id, "-c", str(self.layout.properties)),
                    cwd=self.layout.home,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    check=False,
                    timeout=seconds,
                )
        except subprocess.TimeoutExpired as error:
            # Kafka writes meta.properties last, so the next start formats again
            raise StartTimeoutError(
                f"Kafka did not format {self.layout.data} within {seconds:g} s and was ended",
                f"start it again on a quieter machine; the end of {log}:\n{diagnosis.end_of(log)}",
            ) from error
        except OSError as error:
            raise layout.unusable(log, error) from error
        if done.returncode != 0:
            raise StartError(
                f"Kafka could not format {self.layout.data} (exit code {done.returncode})",
                f"the end of {log}:\n{diagnosis.end_of(log)}",
            )
        return cluster_id

    def spawn(self, earlier: str = "previous") -> process.ProcessId:
        """Begin the broker's process. Its earlier log is kept beside the new one, under this name."""
        if self.layout.log.exists():
            self.layout.log.replace(self.layout.log.with_suffix(f".{earlier}.log"))
        command = self._command(_MAIN, str(self.layout.properties))
        return process.spawn(command, self.layout.home, self.layout.console)

    def _command(self, *arguments: str) -> list[str]:
        return [self.java.path, f"@{self.layout.java_arguments}", *arguments]


@dataclass(frozen=True)
class Waiting:
    """A begun process that should become a serving broker."""

    process: process.ProcessId
    ports: Ports
    cluster_id: str
    layout: Layout
    timeout: timedelta
    client: Mapping[str, Any]

    def until_it_serves(self) -> None:
        """Come back when the broker serves metadata, groups and transactions.

        Raises:
            PortInUseError, DataInUseError, DiskFullError, StartError: it ended before; the
                cause is read from its log.
            StartTimeoutError: it lives but did not serve in time. It has been ended.
        """
        deadline = time.monotonic() + self.timeout.total_seconds()
        steps: tuple[Callable[[], bool], ...] = (
            lambda: readiness.listens(self.ports.client),
            lambda: readiness.serves(bootstrap_of(self.ports), self.cluster_id, self.client),
        )
        for step in steps:
            self._wait_for(step, deadline)

    def _wait_for(self, step: Callable[[], bool], deadline: float) -> None:
        while not step():
            if not self.process.alive():
                raise diagnosis.of_ended(self.layout, self.ports)
            if time.monotonic() > deadline:
                process.end(self.process, _STOP_TIMEOUT)
                raise self._late()
            time.sleep(_POLL_SECONDS)
        if not self.process.alive():
            raise diagnosis.of_ended(self.layout, self.ports)

    def _late(self) -> StartTimeoutError:
        return StartTimeoutError(
            f"Kafka did not serve clients within {self.timeout.total_seconds():g} s and was ended",
            f"give it more time or a quieter machine; the end of {self.layout.log}:\n"
            f"{diagnosis.last_lines(self.layout)}",
        )


def choose_ports(wanted: int | None, last: Ports | None) -> Ports:
    """The ports to use: the wanted one in any case, else the last ones while they are free."""
    client = wanted or _still_free(last.client if last else None) or free_port(())
    controller = _still_free(last.controller if last else None)
    if controller in (None, client):
        controller = free_port((client,))
    return Ports(client, controller)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As Java does: a port whose last connections linger is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _still_free(port: int | None) -> int | None:
    return port if port is not None and is_free(port) else None


def free_port(but_not: Sequence[int]) -> int:
    """A free port below the range that systems take for outgoing connections.

    From that range a client that tries to reconnect while the broker is down can, by chance, get
    the broker's own port and connect to itself; the broker then finds its port taken.
    """
    while True:
        port = random.choice(_PORT_RANGE)
        if port not in but_not and is_free(port):
            return port


def _formatted_id(path: Path) -> str | None:
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise layout.unusable(path, error) from error
    for line in lines:
        name, _, value = line.partition("=")
        if name == "cluster.id" and value:
            return value
    raise StartError(
        f"{path} names no cluster.id, so the data beside it cannot be used",
        f"restore the file from a copy, or move {path.parent} away to begin anew",
    )


def new_cluster_id() -> str:
    """A random id as Kafka makes them: 16 bytes in URL-safe base64, never a leading dash.

    One in 64 would begin with a dash, which the storage tool takes for an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
