"""`kafka.json`: what is known about the broker of a directory between processes."""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from headrace.pipeline.broker.configuration import Ports
from headrace.pipeline.broker.errors import BrokerError, StateFileError
from headrace.pipeline.broker.layout import unusable
from headrace.pipeline.broker.options import HOST
from headrace.pipeline.broker.process import ProcessId


class Phase(StrEnum):
    """How far the broker came, as far as whoever wrote the file knew."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True)
class State:
    """The content of `kafka.json`.

    Attributes:
        phase: how far it came.
        port: where clients connect, remembered while the broker is stopped.
        controller_port: where it talks to itself.
        version: the version of Kafka.
        cluster_id: Kafka's name for the data.
        java: path of the Java that runs it.
        pid: the JVM's process id, or that of the last one.
        process_started: the kernel's or ps's word on when that process began; a process with
            the same id and another word is somebody else's.
        started_at: seconds since the epoch.
        bootstrap: `host:port`, for whoever reads the file.
    """

    phase: Phase
    port: int
    controller_port: int
    version: str
    cluster_id: str
    java: str
    pid: int
    process_started: str
    started_at: float
    bootstrap: str

    @property
    def process(self) -> ProcessId:
        """The JVM, told from a later process with its number."""
        return ProcessId(self.pid, self.process_started)

    @property
    def ports(self) -> Ports:
        """The ports it was last started with."""
        return Ports(self.port, self.controller_port)

    def at(self, phase: Phase) -> "State":
        """The same broker, in another phase."""
        return replace(self, phase=phase)


def bootstrap_of(ports: Ports) -> str:
    """`host:port` for clients."""
    return f"{HOST}:{ports.client}"


def read(path: Path) -> State | None:
    """The state, or None if no broker was ever started here.

    Raises:
        StateFileError: the file is there and is not what `write` writes.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _corrupted(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _corrupted(path, f"is not JSON ({error})") from error
    return _parsed(path, document)


def _parsed(path: Path, document: Any) -> State:
    wanted = {field.name: field.type for field in fields(State)}
    if not isinstance(document, dict) or set(document) != set(wanted):
        raise _corrupted(path, f"should have exactly the keys {', '.join(sorted(wanted))}")
    for name, kind in wanted.items():
        expected = str if kind is Phase else kind
        found = document[name]
        if isinstance(found, bool) or not isinstance(expected, type):
            raise _corrupted(path, f"has {found!r} as {name}")
        if not isinstance(found, (expected, int) if expected is float else expected):
            raise _corrupted(path, f"has {found!r} as {name}")
    if document["phase"] not in set(Phase):
        raise _corrupted(path, f"has {document['phase']!r} as phase")
    return State(**{**document, "phase": Phase(document["phase"])})


def write(path: Path, state: State) -> None:
    """Replace the file as a whole: a reader sees the old state or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        draft.write_text(json.dumps(asdict(state), indent=1) + "\n", "utf-8")
        draft.replace(path)
    except OSError as error:
        raise unusable(path, error) from error


def _corrupted(path: Path, reason: str) -> BrokerError:
    return StateFileError(
        f"{path} {reason}",
        "end the Kafka process of this directory if there is one (`ps -ef | grep kafka.Kafka`), "
        "then delete the file; the data beside it stays",
    )
