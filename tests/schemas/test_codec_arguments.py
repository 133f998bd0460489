from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, model_validator

from headrace.schemas.codec import (
    RecordCodec,
    record_codec_for_model,
    record_codec_for_signature,
    record_codec_from_schema,
    value_codec,
)
from headrace.schemas.errors import ArgumentError, UndecodableError
from tests.schemas.codec_samples import Address, Colour, NoSchemas, Parcel, Size, codec_of


def send(context: object, to: str, count: int = 3, *, copies: list[str] | None = None) -> None: ...


SEND = record_codec_for_signature("email.send", send, skip_first=True)


class Range(BaseModel):
    low: int
    high: int = 10

    @model_validator(mode="after")
    def ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


@dataclass
class Limits:
    count: Annotated[int, Field(le=5)]


@dataclass
class Bill:
    amount: Annotated[Decimal, Field(max_digits=6, decimal_places=2)]


def test_trailing_zeros_beyond_the_scale_are_no_loss() -> None:
    def handler(amount: Bill) -> None: ...

    codec = codec_of(handler)
    decoded = codec.decode(codec.encode(codec.bind(Bill(Decimal("1.5000")))), NoSchemas())
    assert decoded == {"amount": Bill(Decimal("1.50"))}


def test_the_branch_of_a_default_stands_first_as_avro_demands() -> None:
    def handler(a: str | None = "x", b: str | None = None, c: int | str | None = "y") -> None: ...

    schema: Any = codec_of(handler).schema
    assert [field["type"] for field in schema["fields"]] == [
        ["string", "null"],
        ["null", "string"],
        ["string", "long", "null"],
    ]
    assert [field["default"] for field in schema["fields"]] == ["x", None, "y"]


def test_the_context_is_left_out_and_defaults_are_filled_in() -> None:
    assert SEND.bind("a@b") == {"to": "a@b", "count": 3, "copies": None}
    assert SEND.bind("a@b", 4, copies=["c"]) == {"to": "a@b", "count": 4, "copies": ["c"]}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "email.send: argument `to`: is missing"),
        (
            ("a",),
            {"subject": 1},
            "email.send: argument `subject`: is unknown; there are: to, count",
        ),
        (("a",), {"to": "b"}, "argument `to`: given twice"),
        ((1, 2, 3, 4), {}, "takes 3 arguments"),
        ((5,), {}, "argument `to`: Input should be a valid string, got 5"),
        (("a", "5"), {}, "argument `count`: Input should be a valid integer, got '5'"),
        (("a", True), {}, "argument `count`: Input should be a valid integer, got True"),
        (("a", 1.0), {}, "argument `count`: Input should be a valid integer, got 1.0"),
        (("a", 2**63), {}, "argument `count`: .*less than or equal to 9223372036854775807"),
        (("a", 1), {"copies": ["x", 5]}, r"argument `copies\..*1`: .* got 5"),
    ],
)
def test_a_wrong_argument_is_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        SEND.bind(*args, **kwargs)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ArgumentError) as refused:
        SEND.bind(["x" * 10_000])
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, datetime(2024, 1, 1)),  # noqa: DTZ001
        (datetime, datetime.min.replace(tzinfo=UTC) - timedelta(0)),
        (date, datetime(2024, 1, 1, tzinfo=UTC)),
        (time, time(1, tzinfo=UTC)),
        (timedelta, timedelta.max),
        (Decimal, Decimal("NaN")),
        (Decimal, 1),
        (Annotated[Decimal, Field(max_digits=4, decimal_places=2)], Decimal("123.4")),
        (Annotated[Decimal, Field(max_digits=4, decimal_places=2)], Decimal("0.001")),
        (str, "\ud800"),
        (dict[str, str], {"\ud800": "x"}),
        (dict[str, int], {1: 1}),
        (bytes, bytearray(b"x")),
        (float, 10**400),
        (float, "1.5"),
        (list[int], (1, 2)),
        (set[int], [1]),
        (tuple[int, str], (1, "x", 2)),
        (Colour, "r"),
        (Size, {"width": 1}),
        (Size, Size(width="1")),  # type: ignore[arg-type]
        (Size, Size(width=2**63)),
        (Limits, Limits(count=6)),
        (Parcel, Parcel(Size(1), sent=datetime(2024, 1, 1))),  # noqa: DTZ001
        (list[Bill], [Bill(Decimal("0.001"))]),
        (Bill, Bill(Decimal("1E+9"))),
        (Address, Address.model_construct(street=5)),
        (Size | None, Limits(count=1)),
        (int | str, 2.5),
        (Annotated[int, Field(ge=0)], -1),
    ],
    ids=str,
)
def test_what_would_not_come_back_equal_is_not_encoded(annotation: Any, value: Any) -> None:
    def handler(bad: Any, good: int = 1) -> None: ...

    handler.__annotations__["bad"] = annotation
    codec = codec_of(handler)
    if value == datetime.min.replace(tzinfo=UTC):
        assert codec.encode(codec.bind(value))  # the first instant there is
        return
    with pytest.raises(ArgumentError) as refused:
        codec.encode(codec.bind(value))
    assert str(refused.value.field).startswith("bad")


def test_values_given_as_json_are_read_by_their_types() -> None:
    def handler(at: datetime, price: Decimal, colour: Colour, size: Size) -> None: ...

    codec = codec_of(handler)
    values = codec.bind_json(
        '{"at": "2024-01-01T02:00:00+02:00", "price": "1.50", "colour": "r", "size": {"width": 1}}'
    )
    assert values == {
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "price": Decimal("1.50"),
        "colour": Colour.RED,
        "size": Size(1),
    }
    with pytest.raises(ArgumentError, match="Invalid JSON"):
        codec.bind_json("{")


def test_a_mutable_default_is_a_fresh_copy_for_each_call() -> None:
    def handler(tags: list[str] = ["a"], size: Size = Size(1)) -> None: ...  # noqa: B006, B008

    codec = codec_of(handler)
    codec.bind()["tags"].append("b")
    assert codec.bind() == {"tags": ["a"], "size": Size(1)}


def test_arguments_declared_as_a_model_take_fields_or_an_instance_and_keep_its_validators() -> None:
    codec = record_codec_for_model("job", Range)
    assert codec.bind(low=1) == codec.bind(1) == codec.bind(Range(low=1)) == {"low": 1, "high": 10}
    assert codec.decode(codec.encode(codec.bind(2, 3)), NoSchemas()) == {"low": 2, "high": 3}
    with pytest.raises(ArgumentError, match="low is above high"):
        codec.bind(low=11)
    with pytest.raises(UndecodableError, match="low is above high"):
        codec.decode(codec.encode({"low": 11, "high": 1}), NoSchemas())


def test_a_handler_without_parameters_has_an_empty_record() -> None:
    codec = codec_of(lambda: None)
    assert codec.decode(codec.encode(codec.bind()), NoSchemas()) == {}


@pytest.mark.parametrize("name", ["self", "args", "kwargs", "json", "schema", "_x", "type", "name"])
def test_any_parameter_name_will_do(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def handler({name}: int = 1): ...", scope)
    codec = codec_of(scope["handler"])
    assert codec.decode(codec.encode(codec.bind(**{name: 5})), NoSchemas()) == {name: 5}


def bare() -> RecordCodec:
    def handler(size: Size, at: datetime, wait: timedelta = timedelta(seconds=1)) -> None: ...

    return record_codec_from_schema(codec_of(handler).schema_text, "image.thumbnail")


def test_a_bare_schema_names_the_field_that_does_not_fit() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    bound = bare().bind(size={"width": 1}, at=at)
    assert bound == {"size": {"width": 1, "height": 320}, "at": at, "wait": timedelta(seconds=1)}
    with pytest.raises(
        ArgumentError, match=r"image\.thumbnail: argument `size`: `width` .* got 'x'"
    ):
        bare().bind(size={"width": "x"}, at=at)
    with pytest.raises(ArgumentError, match="argument `size`: `depth` is unknown"):
        bare().bind(size={"width": 1, "depth": 2}, at=at)
    with pytest.raises(ArgumentError, match="argument `at`: is missing"):
        bare().bind(size={"width": 1})
    with pytest.raises(ArgumentError, match="argument `at`"):
        bare().bind(size={"width": 1}, at=datetime(2024, 1, 1))  # noqa: DTZ001


def test_no_worker_loads_the_checker() -> None:
    import subprocess

    found = subprocess.run(
        [sys.executable, "-c", "import sys, headrace.schemas.codec; print('avro' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "False"


def test_a_misspelt_argument_is_named_rather_than_the_one_it_leaves_missing() -> None:
    def greet(name: str) -> None: ...

    codec = record_codec_for_signature("greet", greet, skip_first=False)
    with pytest.raises(ArgumentError, match="`nam`: is unknown; there are: name"):
        codec.bind(nam="x")


def test_a_wrong_return_value_is_called_that() -> None:
    with pytest.raises(ArgumentError, match=r"^add: the return value: Input should be .* integer"):
        value_codec("add", int).encode("three")
