"""What one says to the embedded broker, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from headrace.pipeline.broker.security import BrokerSecurity

HOST = "127.0.0.1"
DEFAULT_DIRECTORY = Path(".headrace")

Progress = Callable[[str], None]


def silent(line: str) -> None:
    """Progress for whoever does not want any."""


@dataclass(frozen=True)
class Proxied:
    """A listener for clients that come through a proxy on this machine.

    Attributes:
        port: where the broker listens for the proxy.
        advertised: the proxy's own port, which the broker tells these clients to connect to.
    """

    port: int
    advertised: int


@dataclass(frozen=True)
class BrokerOptions:
    """How to run the embedded broker of one directory.

    Attributes:
        directory: where `kafka.json` and the folder `kafka` (settings, data, logs) are kept.
        port: the port to listen on, on 127.0.0.1. None: the one used last time if it is free,
            else any free one.
        heap_mb: the JVM's largest heap in MiB. The process takes about 150 MiB more.
        quick_start: JVM flags for a quick start and little memory. Benchmarks turn them off:
            they keep the JVM from compiling hot code well.
        progress: called with one line of text for each step worth telling a person, from the
            calling thread or a thread of the download, never from two at a time.
        start_timeout: after so long without serving clients the broker is ended. Prevents
            waiting for ever for a JVM that hangs; recovering 500,000 records after a kill took
            15 s on a busy machine.
        proxied: further listeners, each behind a proxy of the caller's, which can then cut or
            slow one client without the others noticing.
        security: TLS, and rights for each user; without it everybody on this machine may do
            everything. Not together with `proxied`.
    """

    directory: Path = DEFAULT_DIRECTORY
    port: int | None = None
    heap_mb: int = 384
    quick_start: bool = True
    progress: Progress = silent
    start_timeout: timedelta = timedelta(seconds=120)
    proxied: tuple[Proxied, ...] = ()
    security: BrokerSecurity | None = None


@dataclass(frozen=True)
class BrokerAddress:
    """A running broker.

    Attributes:
        bootstrap: `host:port` for `bootstrap.servers`.
        pid: the JVM's process id.
        directory: the absolute directory given in the options.
        java: path of the Java that runs it.
        log: the broker's log file.
        started: True when this call started it, False when it was running already.
    """

    bootstrap: str
    pid: int
    directory: Path
    java: str
    log: Path
    started: bool


class BrokerState(StrEnum):
    """What can be seen of a broker from outside."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    CRASHED = "crashed"


@dataclass(frozen=True)
class BrokerStatus:
    """What is known about the broker of one directory, without connecting to it.

    Attributes:
        state: `crashed` means: it was started, was not stopped, and its process is gone.
        bootstrap: `host:port`, the last one used when it is not running; None if never started.
        pid: its process id while there is a process.
        uptime: time since its process started, while there is a process.
        version: the Kafka version that runs, or would.
        data_bytes: bytes on disk taken by its data.
        directory: the absolute directory asked about.
        log: the broker's log file; it may not exist yet.
    """

    state: BrokerState
    bootstrap: str | None
    pid: int | None
    uptime: timedelta | None
    version: str
    data_bytes: int
    directory: Path
    log: Path
