"""Whether a changed schema still fits the jobs that are queued and the workers that still run.

During a rolling deploy jobs of the old schema meet new workers and jobs of the new schema meet
old workers, so both directions are looked at, and each finding says which one it breaks.

Three judges: our own walk, which names the field and the way out; our own rules where Avro's
resolution is laxer than our reader (logical types, string and bytes, unions of records); and
Apache Avro's checker, which speaks up where the walk has found nothing.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastavro.schema import expand_schema

_LOGICAL = ("logicalType", "precision", "scale")
_WIDER = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
}
_INSTEAD = "add a new parameter with a default instead"


class Breaks(StrEnum):
    """Who cannot read what."""

    QUEUED_JOBS = "jobs already queued cannot be read by the new code"
    RUNNING_WORKERS = "workers still running the old code cannot read new jobs"


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why two schemas cannot live together.

    Attributes:
        field: the way to the field, such as ``size.width``; empty for the record itself.
        reason: what changed, and what to do instead.
        breaks: the direction that fails.
    """

    field: str
    reason: str
    breaks: Breaks

    def __str__(self) -> str:
        place = f"field `{self.field}`: " if self.field else ""
        return f"{place}{self.reason} ({self.breaks})"


def check(old_text: str, new_text: str) -> list[Incompatibility]:
    """Compare two schemas of one job type, given as JSON.

    Returns:
        Every finding, in the order of the fields; empty when old and new understand each other.
    """
    old, new = expand_schema(json.loads(old_text)), expand_schema(json.loads(new_text))
    findings = [*_compare(old, new, "")]
    for breaks in Breaks:
        if all(finding.breaks is not breaks for finding in findings):
            findings.extend(_by_apache(old_text, new_text, breaks))
    return findings


def _compare(old: Any, new: Any, path: str) -> Iterator[Incompatibility]:
    if isinstance(old, list) or isinstance(new, list):
        yield from _unions(_branches(old), _branches(new), path)
        return
    if _kind(old) != _kind(new):
        yield from _changed_type(old, new, path)
    elif _logical(old) != _logical(new):
        reason = f"{_spoken(old)} became {_spoken(new)}, whose bytes look alike; {_INSTEAD}"
        yield from (Incompatibility(path, reason, breaks) for breaks in Breaks)
    elif isinstance(old, dict):
        yield from _parts(old, new, path)


def _parts(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Incompatibility]:
    kind = _kind(old)
    if kind == "record":
        yield from _fields(old, new, path)
    elif kind == "array":
        yield from _compare(old["items"], new["items"], f"{path}[]")
    elif kind == "map":
        yield from _compare(old["values"], new["values"], f"{path}[]")
    elif kind == "enum":
        yield from _symbols(old["symbols"], new["symbols"], path)
    elif kind == "fixed" and old["size"] != new["size"]:
        yield from _changed_type(old, new, path)


def _changed_type(old: Any, new: Any, path: str) -> Iterator[Incompatibility]:
    reason = f"{_spoken(old)} became {_spoken(new)}; {_INSTEAD}"
    plain = not (_logical(old) or _logical(new))
    if not (plain and (_kind(old), _kind(new)) in _WIDER):
        yield Incompatibility(path, reason, Breaks.QUEUED_JOBS)
    if not (plain and (_kind(new), _kind(old)) in _WIDER):
        yield Incompatibility(path, reason, Breaks.RUNNING_WORKERS)


def _fields(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Incompatibility]:
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    for name, field in before.items():
        place = f"{path}.{name}".lstrip(".")
        if name in after:
            yield from _compare(field["type"], after[name]["type"], place)
        elif "default" not in field:
            reason = "was removed, and had no default; give it one first, and remove it once every worker has that"
            yield Incompatibility(place, reason, Breaks.RUNNING_WORKERS)
    for name, field in after.items():
        if name not in before and "default" not in field:
            place = f"{path}.{name}".lstrip(".")
            yield Incompatibility(
                place, "is new and has no default; give it one", Breaks.QUEUED_JOBS
            )


def _symbols(old: list[str], new: list[str], path: str) -> Iterator[Incompatibility]:
    gone = ", ".join(symbol for symbol in old if symbol not in new)
    if gone:
        reason = f"enum members {gone} were removed; keep them until no job holds them"
        yield Incompatibility(path, reason, Breaks.QUEUED_JOBS)
    added = ", ".join(symbol for symbol in new if symbol not in old)
    if added:
        reason = f"enum members {added} were added; deploy the workers before any sender uses them"
        yield Incompatibility(path, reason, Breaks.RUNNING_WORKERS)


def _unions(old: list[Any], new: list[Any], path: str) -> Iterator[Incompatibility]:
    before, after = ({_branch(each): each for each in union} for union in (old, new))
    for name, branch in before.items():
        if name in after:
            yield from _compare(branch, after[name], path)
        elif not _fits(branch, new):
            reason = f"{_spoken(branch)} is no longer accepted; keep it in the union"
            yield Incompatibility(path, reason, Breaks.QUEUED_JOBS)
    for name, branch in after.items():
        if name not in before and not _fits(branch, old):
            reason = (
                f"{_spoken(branch)} is newly accepted; deploy the workers before any sender uses it"
            )
            yield Incompatibility(path, reason, Breaks.RUNNING_WORKERS)
    yield from _lost_names(old, new, path)


def _lost_names(old: list[Any], new: list[Any], path: str) -> Iterator[Incompatibility]:
    """A lone record does not say its name on the wire; several cannot be told apart without."""
    for one, several, breaks in (
        (old, new, Breaks.QUEUED_JOBS),
        (new, old, Breaks.RUNNING_WORKERS),
    ):
        if len(one) == 1 and _kind(one[0]) == "record" and _records(several) > 1:
            reason = f"a lone {_spoken(one[0])} meets a union of several records; {_INSTEAD}"
            yield Incompatibility(path, reason, breaks)


def _fits(branch: Any, union: list[Any]) -> bool:
    widened = {wide for narrow, wide in _WIDER if narrow == _kind(branch)}
    return not _logical(branch) and any(
        _kind(each) in widened and not _logical(each) for each in union
    )


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _records(union: list[Any]) -> int:
    return sum(_kind(branch) == "record" for branch in union)


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _branch(schema: Any) -> str:
    return str(schema["name"]) if isinstance(schema, dict) and "name" in schema else _kind(schema)


def _logical(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return {}
    return {"scale": 0} | {key: schema[key] for key in _LOGICAL if key in schema}


def _spoken(schema: Any) -> str:
    kind = _kind(schema)
    if isinstance(schema, dict) and kind in ("record", "enum", "fixed"):
        return f"{kind} {schema['name']}"
    logical = _logical(schema)
    if "precision" in logical:
        return f"decimal({logical['precision']},{logical['scale']})"
    return f"{kind} ({logical['logicalType']})" if logical else kind


def _by_apache(old_text: str, new_text: str, breaks: Breaks) -> Iterator[Incompatibility]:
    """What Apache Avro's checker objects to. Imported here: no worker needs it."""
    from avro.compatibility import ReaderWriterCompatibilityChecker  # noqa: PLC0415
    from avro.schema import parse  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own logical types are unknown to it
        old, new = parse(old_text), parse(new_text)
    reader, writer = (new, old) if breaks is Breaks.QUEUED_JOBS else (old, new)
    judge: Any = ReaderWriterCompatibilityChecker  # it has no types
    result = judge().get_compatibility(reader, writer)
    for kind in result.incompatibilities:
        words = "; ".join(sorted(result.messages))
        yield Incompatibility("", f"Avro's checker: {kind.name}: {words}; {_INSTEAD}", breaks)
