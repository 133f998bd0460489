"""What is written in one pass is what pydantic and fastavro would have written, or nothing at all."""

import enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.codec import RecordCodec, record_codec_for_signature
from headrace.schemas.errors import ArgumentError
from tests.schemas.codec_samples import FLOATS, LONGS, TEXTS, same

QUICK = settings(max_examples=300, deadline=None)


class Word(str):
    __slots__ = ()


class Shade(enum.StrEnum):
    LIGHT = "light"


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    None: st.none(),
    bool: st.booleans(),
    int: LONGS,
    float: FLOATS,
    str: TEXTS | st.text("ä", min_size=1_000, max_size=1_100),
    bytes: st.binary(max_size=12),
    str | None: st.none() | TEXTS,
    int | bool: LONGS | st.booleans(),
    bytes | None | float: st.none() | st.binary(max_size=3) | FLOATS,
}
ODD: st.SearchStrategy[Any] = st.sampled_from([Word("a"), Shade.LIGHT, "\ud800", 2**63, -(2**63) - 1, 1, True, 1.5, None, b"", [], 10**400])  # fmt: skip
NAMES = ["order", "type", "str", "long", "data", "self", "write", "b"]


def made(*annotations: Any, **defaults: Any) -> RecordCodec:
    """The codec of a function with so many parameters, the last of them with defaults."""
    names = NAMES[: len(annotations)]
    scope: dict[str, Any] = {}
    exec(f"def handler({', '.join(names)}): ...", scope)
    handler = scope["handler"]
    handler.__annotations__ = dict(zip(names, annotations, strict=True))
    handler.__defaults__ = tuple(defaults[name] for name in names if name in defaults)
    return record_codec_for_signature("shop.order", handler, skip_first=False)


def slowly(codec: RecordCodec, *args: Any, **kwargs: Any) -> bytes:
    return codec.encode(codec.bind(*args, **kwargs))


@QUICK
@given(st.lists(st.sampled_from(list(PLAIN)), max_size=8), st.integers(0, 8), st.data())
def test_plain_values_are_written_as_fastavro_writes_them(
    annotations: list[Any], positional: int, data: st.DataObject
) -> None:
    codec = made(*annotations)
    values = [data.draw(PLAIN[annotation]) for annotation in annotations]
    named = dict(zip(NAMES[positional:], values[positional:], strict=False))
    written = codec.written(tuple(values[:positional]), named)
    assert written is not None
    assert written == slowly(codec, *values)
    assert same(codec.bind(*values), codec.read(written))


@QUICK
@given(st.lists(st.sampled_from(list(PLAIN)), min_size=1, max_size=3), st.data())
def test_what_is_not_plainly_right_is_left_to_pydantic(
    annotations: list[Any], data: st.DataObject
) -> None:
    codec = made(*annotations)
    values = [data.draw(PLAIN[annotation] | ODD) for annotation in annotations]
    written = codec.written(tuple(values), {})
    if written is not None:
        assert written == slowly(codec, *values)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("a",), {}),
        (("a", 1, 2), {}),
        (("a", 1), {"order": "b"}),
        (("a",), {"typo": 1}),
        ((1, "a"), {}),
        (("a", True), {}),
        (("a", 2**63), {}),
        (("\ud800", 1), {}),
    ],
)
def test_what_is_wrong_is_never_written(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    codec = made(str, int)
    assert codec.written(args, kwargs) is None
    with pytest.raises(ArgumentError):
        slowly(codec, *args, **kwargs)


@QUICK
@given(st.sampled_from(list(PLAIN)), st.data())
def test_a_default_is_written_when_nothing_is_given(annotation: Any, data: st.DataObject) -> None:
    default = data.draw(PLAIN[annotation])
    codec = made(str, annotation, type=default)
    assert codec.written(("a",), {}) == codec.written(("a", default), {}) == slowly(codec, "a")


def test_parameters_that_only_a_name_gives_may_follow_a_default() -> None:
    def handler(first: str = "a", *, second: int) -> None: ...

    codec = record_codec_for_signature("shop.order", handler, skip_first=False)
    assert codec.written((), {}) is None
    assert codec.written((), {"second": 7}) == slowly(codec, second=7)
