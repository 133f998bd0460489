import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import Field

from headrace.schemas.codec import value_codec
from headrace.schemas.compatibility import Breaks, check
from tests.schemas.codec_samples import TYPED, Box, Colour, Level, Size, Typed

QUEUED, RUNNING = Breaks.QUEUED_JOBS, Breaks.RUNNING_WORKERS


def record(*fields: dict[str, Any]) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": list(fields)})


def of(annotation: Any) -> str:
    return value_codec("R", annotation).schema_text


A = {"name": "a", "type": "long"}


def test_the_same_schema_is_compatible() -> None:
    assert check(record(A), record(A)) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TYPED)
def test_every_declared_schema_is_compatible_with_itself(typed: Typed) -> None:
    assert check(of(typed[0]), of(typed[0])) == []


def test_a_field_with_a_default_may_come_and_go() -> None:
    both = record(A, {"name": "b", "type": "string", "default": ""})
    assert check(record(A), both) == []
    assert check(both, record(A)) == []


@pytest.mark.parametrize(
    ("old", "new", "field", "words", "breaks"),
    [
        (record(), record(A), "a", "is new and has no default", {QUEUED}),
        (record(A), record(), "a", "was removed", {RUNNING}),
        (of(int), of(str), "value", "long became string", {QUEUED, RUNNING}),
        (of(str), of(bytes), "value", "string became bytes", {QUEUED, RUNNING}),
        (of(int), of(float), "value", "long became double", {RUNNING}),
        (of(float), of(int), "value", "double became long", {QUEUED}),
        (of(int), of(datetime), "value", "timestamp-micros", {QUEUED, RUNNING}),
        (of(date), of(datetime), "value", "date.*timestamp-micros", {QUEUED, RUNNING}),
        (of(Decimal), of(str), "value", "headrace-decimal", {QUEUED, RUNNING}),
        (
            of(Annotated[Decimal, Field(max_digits=10, decimal_places=2)]),
            of(Annotated[Decimal, Field(max_digits=10, decimal_places=4)]),
            "value",
            r"decimal\(10,2\) became decimal\(10,4\)",
            {QUEUED, RUNNING},
        ),
        (
            of(list[Annotated[Decimal, Field(max_digits=10, decimal_places=2)]]),
            of(list[Annotated[Decimal, Field(max_digits=12, decimal_places=2)]]),
            "value[]",
            r"decimal\(10,2\) became decimal\(12,2\)",
            {QUEUED, RUNNING},
        ),
        (of(int), of(int | None), "value", "null is newly accepted", {RUNNING}),
        (of(int | None), of(int), "value", "null is no longer accepted", {QUEUED}),
        (of(int | str), of(int | bytes), "value", "no longer accepted", {QUEUED, RUNNING}),
        (of(Size), of(Size | Box), "value", "lone record Size", {QUEUED, RUNNING}),
        (of(Size), of(Box), "value", "Avro's checker", {QUEUED, RUNNING}),
        (
            of(dict[str, int]),
            of(dict[str, str]),
            "value[]",
            "long became string",
            {QUEUED, RUNNING},
        ),
    ],
)
def test_a_change_that_breaks_names_the_field_the_reason_and_who_is_broken(
    old: str, new: str, field: str, words: str, breaks: set[Breaks]
) -> None:
    import re

    findings = check(old, new)
    assert {finding.breaks for finding in findings} == breaks
    assert any(re.search(words, finding.reason) for finding in findings)
    if "checker" not in words:
        assert {finding.field for finding in findings} == {field}


def test_enum_members_may_be_neither_removed_nor_used_too_early() -> None:
    old = {"name": "c", "type": {"type": "enum", "name": "C", "symbols": ["A", "B"]}}
    new = {"name": "c", "type": {"type": "enum", "name": "C", "symbols": ["A", "D"]}}
    assert [str(finding) for finding in check(record(old), record(new))] == [
        (
            "field `c`: enum members B were removed; keep them until no job holds them "
            "(jobs already queued cannot be read by the new code)"
        ),
        (
            "field `c`: enum members D were added; deploy the workers before any sender uses them "
            "(workers still running the old code cannot read new jobs)"
        ),
    ]


def test_what_changed_deep_inside_is_found_once_by_its_path() -> None:
    def nested(inner: dict[str, Any]) -> str:
        part = {"type": "record", "name": "Part", "fields": [inner]}
        items = {"type": "array", "items": part}
        return record({"name": "parts", "type": items}, {"name": "again", "type": "Part"})

    findings = check(nested(A), nested({"name": "a", "type": "boolean"}))
    assert {finding.field for finding in findings} == {"parts[].a", "again.a"}


def test_avros_checker_speaks_where_the_walk_is_silent() -> None:
    old = of(Colour).replace("Colour", "Hue")
    assert any("Avro's checker" in finding.reason for finding in check(old, of(Colour)))
    assert check(of(Level), of(Level)) == []
