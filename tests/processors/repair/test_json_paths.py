"""Changing one value of a document by its path."""

import pytest

from headrace.processors.errors import EditError
from headrace.processors.repair.json_paths import with_value, without_value

DOCUMENT = {"to": {"address": "a"}, "items": [{"price": 1}, {"price": 2}], "note": None}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("note", DOCUMENT | {"note": 7}),
        ("new", DOCUMENT | {"new": 7}),
        ("to.address", DOCUMENT | {"to": {"address": 7}}),
        ("items.1.price", DOCUMENT | {"items": [{"price": 1}, {"price": 7}]}),
        ("items.0", DOCUMENT | {"items": [7, {"price": 2}]}),
    ],
)
def test_a_value_is_put_where_the_path_leads(path: str, changed: object) -> None:
    before = repr(DOCUMENT)
    assert with_value(DOCUMENT, path, 7) == changed
    assert repr(DOCUMENT) == before


def test_a_value_is_taken_out() -> None:
    assert without_value(DOCUMENT, "note") == {k: v for k, v in DOCUMENT.items() if k != "note"}
    assert without_value(DOCUMENT, "items.0") == DOCUMENT | {"items": [{"price": 2}]}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "no path"),
        ("to..address", "no path"),
        ("form.address", "the arguments object has no 'form'; there is: to, items, note"),
        ("items.2.price", "items is a list of 2"),
        ("items.first", "items is a list of 2"),
        ("note.text", "note is a null"),
        ("to.address.street", "to.address is a str"),
    ],
)
def test_a_path_that_leads_nowhere_says_how_far_it_goes(path: str, told: str) -> None:
    with pytest.raises(EditError, match=told):
        with_value(DOCUMENT, path, 7)


def test_what_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(EditError, match="has no 'gone'"):
        without_value(DOCUMENT, "gone")
