"""The brokers and databases that the systems need: each a process of ours, on loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.cimpl import NewTopic

from benchmarks.field.contract import NotInstalledError, ServiceKind
from headrace.pipeline import broker
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.settings import KafkaSettings, load
from tests.support import postgres

_START = 20.0


@dataclass(frozen=True)
class Service:
    """One that runs.

    Attributes:
        kind: Which.
        pid: Its process, whose CPU time is looked at.
        url_of: The address that a run of a name gets.
        size_of: Bytes that a run of a name has there.
        create: Make what a run of a name needs; the number is that of partitions.
        remove: Remove what a run of a name left.
        version: Of the software.
    """

    kind: ServiceKind
    pid: int
    url_of: Callable[[str], str]
    size_of: Callable[[str], int]
    create: Callable[[str, int], None]
    remove: Callable[[str], None]
    version: str

    def cpu(self) -> float:
        """Seconds that it has used, with its children."""
        process = psutil.Process(self.pid)
        everything = [process, *process.children(recursive=True)]
        return sum(_cpu(each) for each in everything)


class Services:
    """Started when they are first wanted, and kept until the end: starting costs seconds."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[ServiceKind, Service] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def get(self, kind: ServiceKind) -> Service:
        """Give a service.

        Raises:
            NotInstalledError: It is not on this machine.
        """
        if kind not in self._running:
            self._running[kind] = self._stack.enter_context(_STARTS[kind]())
        return self._running[kind]


@contextmanager
def kafka() -> Iterator[Service]:
    """The embedded broker, with the JVM's full compiler."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        directory = Path(name)
        options = broker.BrokerOptions(directory=directory, quick_start=False, heap_mb=1024)
        with broker.running(options) as address:
            version = f"Apache Kafka {broker.status(directory).version}, 1 node"
            yield kafka_at(address.bootstrap, address.pid, directory, version)


def kafka_at(bootstrap: str, pid: int, directory: Path, version: str) -> Service:
    """A Kafka that runs already, its logs somewhere below a directory."""
    settings = load(KafkaSettings, bootstrap_servers=bootstrap)
    return Service(
        ServiceKind.KAFKA,
        pid,
        lambda run: bootstrap,
        lambda run: _topic_bytes(directory, run),
        lambda run, partitions: _make_topic(settings, run, partitions),
        lambda run: _remove_topics(settings, run),
        version,
    )


def _topic_bytes(directory: Path, run: str) -> int:
    """Sum up the segments; folders of other runs may vanish meanwhile, which `os.walk` bears."""
    return sum(
        (Path(folder) / name).stat().st_size
        for folder, _, names in os.walk(directory)
        if Path(folder).name.startswith(run)
        for name in names
        if name.endswith(".log")
    )


def _make_topic(settings: KafkaSettings, run: str, partitions: int) -> None:
    admin = make_admin(settings)
    for answer in admin.create_topics([NewTopic(run, partitions, 1)]).values():
        answer.result()


def _remove_topics(settings: KafkaSettings, run: str) -> None:
    admin = make_admin(settings)
    mine = [name for name in admin.list_topics(timeout=20).topics if name.startswith(run)]
    for answer in admin.delete_topics(mine).values() if mine else ():
        try:
            answer.result()
        except KafkaException as error:
            print(f"a topic of {run} stays: {error}")


@contextmanager
def redis(kind: ServiceKind) -> Iterator[Service]:
    """Debian's redis-server, on a port of its own."""
    program = shutil.which("redis-server")
    if program is None:
        raise NotInstalledError("redis-server is not installed: apt-get install redis-server")
    durable = kind is ServiceKind.REDIS
    with tempfile.TemporaryDirectory(prefix="headrace-bench-redis-") as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "yes" if durable else "no"]
        command += ["--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
            server = subprocess.Popen(command, stdout=nothing, stderr=nothing)
        try:
            _await(lambda: "PONG" in _redis(port, "ping"), "Redis answers")
            version = subprocess.check_output([program, "--version"], text=True).split()[2]
            yield Service(
                kind,
                server.pid,
                lambda run: f"redis://127.0.0.1:{port}/0",
                lambda run: _redis_memory(port),
                lambda run, partitions: None,
                lambda run: _forget(port),
                f"Redis {version.removeprefix('v=')}, "
                + ("appendfsync everysec" if durable else "no persistence"),
            )
        finally:
            server.terminate()
            server.wait(30)


def _redis(port: int, *words: str) -> str:
    asked = subprocess.run(
        ["redis-cli", "-p", str(port), *words], capture_output=True, text=True, check=False
    )
    return asked.stdout


def _redis_memory(port: int) -> int:
    lines = _redis(port, "info", "memory").splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("used_memory:"))


def _forget(port: int) -> None:
    _redis(port, "flushall")
    _redis(port, "bgrewriteaof")


@contextmanager
def postgresql() -> Iterator[Service]:
    """PostgreSQL with its own defaults: each commit waits for the disk."""
    programs = postgres.binaries()
    if programs is None:
        raise NotInstalledError("PostgreSQL is not installed: apt-get install postgresql")
    with postgres.running(programs, durable=True) as given:
        admin = given.replace("+psycopg", "")
        with psycopg.connect(admin, autocommit=True) as connection:

            def tell(statement: str) -> None:
                connection.execute(statement.encode())

            def size(run: str) -> int:
                found = connection.execute("select pg_database_size(%s)", (run,)).fetchone()
                return int(found[0]) if found else 0

            yield Service(
                ServiceKind.POSTGRES,
                _server_of(connection.info.backend_pid),
                lambda run: admin.replace("/postgres", f"/{run}"),
                size,
                lambda run, partitions: tell(f"create database {run}"),
                lambda run: tell(f"drop database if exists {run} with (force)"),
                f"PostgreSQL {connection.info.server_version // 10_000}, "
                "fsync and synchronous_commit on",
            )


def _server_of(backend: int) -> int:
    parent = psutil.Process(backend).parent()
    return parent.pid if parent is not None else backend


_STARTS: dict[ServiceKind, Callable[[], AbstractContextManager[Service]]] = {
    ServiceKind.KAFKA: kafka,
    ServiceKind.REDIS: lambda: redis(ServiceKind.REDIS),
    ServiceKind.REDIS_MEMORY: lambda: redis(ServiceKind.REDIS_MEMORY),
    ServiceKind.POSTGRES: postgresql,
}


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {_START:.0f} s it is not true that {what}")
        time.sleep(0.05)


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
