r"""The folder of a proof run: the one place that knows how its files are written.

    run.json              one object: `RunInfo`
    submitted.tsv         `Submission` for each job whose delivery the broker confirmed
    unconfirmed.tsv       the same for submissions that ended in an error: they may exist or not
    executions/<pid>.tsv  `ExecutionEvent`, appended by the handlers themselves
    faults.jsonl          `Fault`, one object a line
    workers.jsonl         `WorkerEvent`, one object a line
    topics/…              what was read from the topics (`dump`)
    broker/…              logs

Fields of a .tsv stand in the order of the record's fields. A tab, a line break and a backslash
inside a text are written as `\t`, `\n`, `\r` and `\\`.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from headrace.console.proof.records import (
    Committed,
    ExecutionEvent,
    Fault,
    Kind,
    Place,
    RunInfo,
    Submission,
    What,
    WorkerEvent,
)
from headrace.schemas.errors import HeadraceError

RUN: Final = "run.json"
SUBMITTED: Final = "submitted.tsv"
UNCONFIRMED: Final = "unconfirmed.tsv"
EXECUTIONS: Final = "executions"
FAULTS: Final = "faults.jsonl"
WORKERS: Final = "workers.jsonl"
TOPICS: Final = "topics"
BROKER: Final = "broker"

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_ESCAPE: Final = re.compile(r"\\([\\tnr])")
_UNESCAPED: Final = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
_Line = TypeVar("_Line")


class RunFolderError(HeadraceError):
    """A file of a run folder is missing or cannot be read."""


class RunFolder:
    """Reads and writes the files of one run. Writing appends whole lines at once.

    Args:
        path: The folder; made by the first thing that is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_info(self, info: RunInfo) -> None:
        """Write run.json anew."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(info), indent=2, ensure_ascii=False)
        (self.path / RUN).write_text(text + "\n")

    def append_submitted(self, submissions: Iterable[Submission]) -> None:
        """Note jobs whose delivery the broker confirmed."""
        self._append(SUBMITTED, (tsv_line(each) for each in submissions))

    def append_unconfirmed(self, submissions: Iterable[Submission]) -> None:
        """Note submissions that ended in an error."""
        self._append(UNCONFIRMED, (tsv_line(each) for each in submissions))

    def append_fault(self, fault: Fault) -> None:
        """Note one fault, after it has ended."""
        self._append(FAULTS, (json.dumps(_fault_as_json(fault)),))

    def begin_faults(self) -> None:
        """Make the file of faults, empty: a run without any still says so."""
        self._append(FAULTS, ())

    def append_worker(self, event: WorkerEvent) -> None:
        """Note what a worker process did."""
        self._append(WORKERS, (json.dumps(asdict(event)),))

    def _append(self, name: str, lines: Iterable[str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / name).open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(f"{line}\n" for line in lines))

    # -- reading ---------------------------------------------------------------------------------

    def info(self) -> RunInfo:
        """Read run.json."""
        found = json.loads(self._existing(RUN).read_text())
        known = {each.name for each in fields(RunInfo)}
        values = {name: value for name, value in found.items() if name in known}
        try:
            return replace(RunInfo(**values), ordered=tuple(values.get("ordered", ())))
        except TypeError as error:
            raise RunFolderError(f"{self.path / RUN} is not of this version: {error}") from error

    def submitted(self) -> Iterator[Submission]:
        """Read the accepted jobs."""
        return _read(self._existing(SUBMITTED), _submission)

    def unconfirmed(self) -> Iterator[Submission]:
        """Read the submissions without a promise; none when there is no file."""
        path = self.path / UNCONFIRMED
        return _read(path, _submission) if path.exists() else iter(())

    def executions(self) -> Iterator[ExecutionEvent]:
        """Read all execution logs, one file after the other."""
        for path in sorted((self.path / EXECUTIONS).glob("*.tsv")):
            yield from _read(path, _event)

    def faults(self) -> list[Fault]:
        """Read the faults in order.

        Raises:
            RunFolderError: There is no such file: what was done to the run cannot be told.
        """
        found = _read(self._existing(FAULTS), lambda line: _fault(json.loads(line)))
        return sorted(found, key=lambda fault: fault.number)

    def worker_events(self) -> list[WorkerEvent]:
        """Read what the workers did, in order of time; empty when there is no file."""
        path = self.path / WORKERS
        found = _read(path, _worker_event) if path.exists() else iter(())
        return sorted(found, key=lambda event: event.at_ns)

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.is_file():
            raise RunFolderError(
                f"{path} is missing: this is not the folder of a whole proof run; make one with "
                "`headrace prove --keep FOLDER`"
            )
        return path


@dataclass(slots=True)
class ExecutionLog:
    """The log of the process that runs handlers. One write per event: safe after any kill.

    A child process that inherits it opens a file of its own.

    Attributes:
        folder: The run folder.
    """

    folder: Path
    _pid: int = 0
    _file: int = -1

    def write(self, event: ExecutionEvent) -> None:
        """Append one event; when it returns, the operating system has it."""
        if self._pid != os.getpid():
            self._open()
        os.write(self._file, f"{tsv_line(event)}\n".encode())

    def _open(self) -> None:
        pid = os.getpid()
        path = self.folder / EXECUTIONS / f"{pid}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # Last: another thread that sees it writes at once. Two may open the same file; no matter.
        self._pid = pid


# -- lines ---------------------------------------------------------------------------------------


def tsv_line(values: Sequence[object]) -> str:
    """Give the fields of a record as one line, without its end."""
    return "\t".join(str(value).translate(_ESCAPES) for value in values)


def tsv_fields(line: str) -> list[str]:
    """Give the fields of a line."""
    parts = line.split("\t")
    return [_unescape(part) for part in parts] if "\\" in line else parts


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: _UNESCAPED[found[1]], text)


def _read(path: Path, parse: Callable[[str], _Line]) -> Iterator[_Line]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield parse(line.rstrip("\n"))
            except (ValueError, TypeError, KeyError) as error:
                raise RunFolderError(
                    f"{path}, line {number} cannot be read ({error!r}): {line[:200]!r}"
                ) from error


def _submission(line: str) -> Submission:
    job_id, job_type, lane, key, seq, due, plan, partition, offset = tsv_fields(line)
    return Submission(
        job_id, sys.intern(job_type), sys.intern(lane), sys.intern(key), int(seq), int(due),
        sys.intern(plan), int(partition), int(offset),
    )  # fmt: skip


def _event(line: str) -> ExecutionEvent:
    at, what, job_id, attempt, pid, lane, key, seq, due, monotonic, worker = tsv_fields(line)
    return ExecutionEvent(
        int(at), What(what), job_id, int(attempt), int(pid), lane, key, int(seq), int(due),
        int(monotonic), int(worker),
    )  # fmt: skip


def _fault_as_json(fault: Fault) -> dict[str, Any]:
    committed: dict[str, dict[str, list[Any]]] = {}
    for (topic, partition), found in fault.committed.items():
        committed.setdefault(topic, {})[str(partition)] = [found.offset, found.metadata]
    names = (each.name for each in fields(fault))
    return {name: getattr(fault, name) for name in names} | {"committed": committed}


def _fault(found: dict[str, Any]) -> Fault:
    committed: dict[Place, Committed] = {
        (topic, int(partition)): Committed(offset, metadata or "")
        for topic, partitions in found.get("committed", {}).items()
        for partition, (offset, metadata) in partitions.items()
    }
    known = {each.name for each in fields(Fault)}
    values: dict[str, Any] = {name: value for name, value in found.items() if name in known}
    values["committed"] = committed
    values["kind"] = Kind(found["kind"])
    values["workers"] = tuple(found.get("workers", ()))
    return Fault(**values)


def _worker_event(line: str) -> WorkerEvent:
    found = json.loads(line)
    return WorkerEvent(
        found["at_ns"], found["event"], found["pid"], tuple(found.get("lanes") or ()),
        found.get("exit"),
    )  # fmt: skip
