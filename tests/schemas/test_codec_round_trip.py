import math
import warnings
from typing import Any

import avro.schema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.schemas.codec import record_codec_from_schema, value_codec
from headrace.schemas.errors import SchemaError
from tests.schemas.codec_samples import SCALAR_TYPES, TYPED, NoSchemas, Typed, codec_of, same

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def accepted_by_apache(schema_text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return avro.schema.parse(schema_text) is not None


@pytest.mark.parametrize("typed", SCALAR_TYPES, ids=lambda typed: str(typed[0]))
@settings(QUICK, max_examples=25)
@given(data=st.data())
def test_a_value_of_each_type_comes_back_equal_and_of_the_same_type(
    typed: Typed, data: st.DataObject
) -> None:
    annotation, values = typed
    codec = value_codec("result", annotation)
    value = data.draw(values)
    assert same(value, codec.decode(codec.encode(value), NoSchemas()))


@QUICK
@given(st.lists(TYPED, min_size=1, max_size=2), st.data())
def test_nested_values_of_any_supported_type_come_back_equal(
    types: list[Typed], data: st.DataObject
) -> None:
    for annotation, values in types:
        codec = value_codec("result", annotation)
        assert accepted_by_apache(codec.schema_text)
        value = data.draw(values)
        assert same(value, codec.decode(codec.encode(value), NoSchemas()))


@QUICK
@given(TYPED, st.data())
def test_a_default_of_any_type_is_filled_in_and_accepted_by_apache_avro(
    typed: Typed, data: st.DataObject
) -> None:
    annotation, values = typed
    default = data.draw(values)

    def handler(value: Any = default) -> None: ...

    handler.__annotations__["value"] = annotation
    codec = codec_of(handler)
    assert accepted_by_apache(codec.schema_text)
    assert codec.bind()["value"] == default
    decoded = codec.decode(codec.encode(codec.bind()), NoSchemas())
    assert same(default, decoded["value"])


@QUICK
@given(TYPED, st.data())
def test_a_codec_from_the_bare_schema_writes_what_the_declared_one_reads(
    typed: Typed, data: st.DataObject
) -> None:
    annotation, values = typed
    codec = value_codec("result", annotation)
    try:
        bare = record_codec_from_schema(codec.schema_text)
    except SchemaError as error:
        if "a value may be both" not in error.reason:
            raise
        return
    value = data.draw(values)
    payload = codec.encode(value)
    seen = bare.decode(payload, NoSchemas())
    assert same(value, codec.decode(bare.encode(bare.bind(**seen)), NoSchemas()))


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 5e-324])
def test_odd_floats_come_back(value: float) -> None:
    codec = value_codec("result", float)
    assert codec.decode(codec.encode(value), NoSchemas()) == value


def test_not_a_number_comes_back() -> None:
    codec = value_codec("result", float)
    assert math.isnan(codec.decode(codec.encode(math.nan), NoSchemas()))


def test_equal_sets_have_equal_bytes() -> None:
    codec = value_codec("result", set[str])
    words = [f"word-{number}" for number in range(50)]
    assert codec.encode(set(words)) == codec.encode({*words[25:], *words[:25]})
