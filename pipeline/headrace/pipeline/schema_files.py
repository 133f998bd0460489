"""The committed schemas: `<directory>/<pipeline>/<job type>.avsc`, one for each job type.

They are the source of truth that a change is checked against before it is deployed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from headrace.pipeline.pipeline import Pipeline
from headrace.schemas import compatibility
from headrace.schemas.compatibility import Incompatibility
from headrace.schemas.errors import IncompatibleSchemaError, SchemaError
from headrace.schemas.parsed import parse

DIRECTORY: Final = Path("schemas")
"""Where the files lie when nobody says otherwise, from the project's top folder."""
_SUFFIX: Final = ".avsc"


class Change(StrEnum):
    """How a declared schema stands to the committed one."""

    NEW = "new"
    UNCHANGED = "unchanged"
    COMPATIBLE = "compatible"
    INCOMPATIBLE = "incompatible"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class SchemaFinding:
    """What became of the argument schema of one job type.

    Attributes:
        job_type: Its name.
        change: How it stands to the committed file.
        file: The file, whether it exists or not.
        reasons: Of an incompatible one, each with field and reason.
    """

    job_type: str
    change: Change
    file: Path
    reasons: tuple[Incompatibility, ...] = ()

    def __str__(self) -> str:
        told = {
            Change.NEW: f"not committed yet; `headrace schemas write` makes {self.file}",
            Change.UNCHANGED: "as committed",
            Change.COMPATIBLE: f"changed, compatible; `headrace schemas write` renews {self.file}",
            Change.INCOMPATIBLE: "; ".join(str(reason) for reason in self.reasons),
            Change.REMOVED: f"no longer declared; delete {self.file} once no job of it is left",
        }
        return f"{self.job_type}: {self.change}: {told[self.change]}"


def compare(pipeline: Pipeline, directory: Path = DIRECTORY) -> list[SchemaFinding]:
    """Compare the declared argument schemas with the committed files. Changes nothing.

    Args:
        pipeline: The declaration.
        directory: Holds a folder for each pipeline; need not exist.

    Returns:
        A finding for each job type: the declared ones in order, then the removed ones.

    Raises:
        SchemaError: A file is no Avro schema; names it.
        OSError: A file cannot be read.
    """
    folder = directory / pipeline.name
    committed = _committed(folder)
    findings = [
        _compare(name, folder / _filename(name), committed.get(name), text)
        for name, text in _declared(pipeline).items()
    ]
    removed = [name for name in committed if name not in pipeline.job_types]
    return findings + [SchemaFinding(n, Change.REMOVED, folder / _filename(n)) for n in removed]


def write(
    pipeline: Pipeline, directory: Path = DIRECTORY, *, accept_incompatible: bool = False
) -> list[SchemaFinding]:
    """Write the files of new and changed schemas. Those of removed job types stay.

    Args:
        pipeline: The declaration.
        directory: As for `compare`; made when it does not exist.
        accept_incompatible: Whether a change may be written that breaks queued jobs or running
            workers: for when the lanes are drained, or nothing was ever deployed.

    Returns:
        What was found before.

    Raises:
        IncompatibleSchemaError: A change is incompatible. No file was written.
        SchemaError: A file is no Avro schema; names it.
        OSError: A file cannot be read or written.
    """
    findings = compare(pipeline, directory)
    for finding in findings:
        if finding.change is Change.INCOMPATIBLE and not accept_incompatible:
            reasons = [str(reason) for reason in finding.reasons]
            raise IncompatibleSchemaError(finding.job_type, reasons)
    declared = _declared(pipeline)
    for finding in findings:
        if finding.change not in {Change.UNCHANGED, Change.REMOVED}:
            finding.file.parent.mkdir(parents=True, exist_ok=True)
            finding.file.write_text(_readable(declared[finding.job_type]), "utf-8")
    return findings


def _compare(name: str, file: Path, committed: str | None, declared: str) -> SchemaFinding:
    if committed is None:
        return SchemaFinding(name, Change.NEW, file)
    if json.loads(committed) == json.loads(declared):
        return SchemaFinding(name, Change.UNCHANGED, file)
    reasons = tuple(compatibility.check(committed, declared))
    change = Change.INCOMPATIBLE if reasons else Change.COMPATIBLE
    return SchemaFinding(name, change, file, reasons)


def _declared(pipeline: Pipeline) -> Mapping[str, str]:
    return {name: each.arguments.schema_text for name, each in pipeline.job_types.items()}


def _committed(folder: Path) -> Mapping[str, str]:
    files = sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
    return {unquote(file.name.removesuffix(_SUFFIX)): _read(file) for file in files}


def _read(file: Path) -> str:
    try:
        text = file.read_text("utf-8")
        parse(text)
    except (SchemaError, UnicodeDecodeError) as error:
        remedy = "restore it from version control, or delete it and write it again"
        raise SchemaError(str(file), None, f"no Avro schema: {error}", remedy) from error
    return text


def _filename(job_type: str) -> str:
    return quote(job_type, safe="") + _SUFFIX


def _readable(text: str) -> str:
    return json.dumps(json.loads(text), indent=2) + "\n"
