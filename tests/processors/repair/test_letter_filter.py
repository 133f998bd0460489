"""Conditions on dead letters: each alone, all together, and as they are stored."""

from typing import Any

import pytest

from headrace.processors.repair.letter_filter import ANY_LETTER, OPEN_LETTERS, LetterFilter
from headrace.processors.repair.letter_states import LetterState
from tests.processors.repair.letters import letter

LETTER = letter(key="customer-1", generation=2)


@pytest.mark.parametrize(
    ("name", "fits", "fails"),
    [
        ("job_types", ("x", "card.charge"), ("card",)),
        ("queues", ("default",), ("mail",)),
        ("reasons", ("exhausted",), ("rejected", "timeout")),
        ("errors", ("PaymentError",), ("Error",)),
        ("tenants", ("acme",), ("other",)),
        ("keys", ("customer-1",), ("customer",)),
        ("ids", ("0190-a", "0190-b"), ("0190-b",)),
        ("fingerprints", (LETTER.fingerprint.id[:6].upper(),), ("000000000000",)),
        ("since", 5_000, 5_001),
        ("until", 5_001, 5_000),
        ("min_generation", 2, 3),
        ("max_generation", 2, 1),
        ("text", "CARD 4711", "card 4712"),
        ("text", "shop/jobs.py", "shop/mail.py"),
        ("text", "of ada", "of eve"),
        ("states", (LetterState.OPEN,), (LetterState.DISCARDED,)),
        ("states", (), (LetterState.RESOLVED,)),
    ],
)
def test_each_condition_lets_through_what_fits_and_nothing_else(
    name: str, fits: Any, fails: Any
) -> None:
    assert LetterFilter(**{name: fits}).matches(LETTER)
    assert not LetterFilter(**{name: fails}).matches(LETTER)


def test_conditions_must_all_be_met() -> None:
    assert LetterFilter(job_types=("card.charge",), tenants=("acme",)).matches(LETTER)
    assert not LetterFilter(job_types=("card.charge",), tenants=("other",)).matches(LETTER)


def test_only_open_letters_are_meant_unless_it_is_said() -> None:
    done = letter(state=LetterState.DISCARDED)
    assert not OPEN_LETTERS.matches(done)
    assert ANY_LETTER.matches(done)


@pytest.mark.parametrize(
    "wanted",
    [
        LetterFilter(job_types=("card.charge",)),
        LetterFilter(reasons=("rejected",)),
        LetterFilter(tenants=("acme",), errors=("PaymentError",)),
        LetterFilter(tenants=("other",)),
        LetterFilter(job_types=("",)),
        ANY_LETTER,
    ],
)
def test_the_quick_look_at_headers_never_refuses_what_would_match(wanted: LetterFilter) -> None:
    for each in (LETTER, letter(tenant=None), letter(reason="rejected")):
        assert wanted.admission()(dict(each.record.headers)) or not wanted.matches(each)


def test_the_quick_look_refuses_by_header() -> None:
    raw = dict(LETTER.record.headers)
    assert not LetterFilter(tenants=("other",)).admission()(raw)
    assert not LetterFilter(job_types=("mail",), tenants=("acme",)).admission()(raw)


@pytest.mark.parametrize(
    "wanted",
    [
        OPEN_LETTERS,
        ANY_LETTER,
        LetterFilter(
            job_types=("a", "b"),
            text="x",
            since=1,
            min_generation=0,
            states=(LetterState.REPLAYED,),
        ),
    ],
)
def test_a_filter_that_was_stored_is_the_same_when_it_is_read(wanted: LetterFilter) -> None:
    assert LetterFilter.from_json(wanted.as_json()) == wanted


def test_a_stored_condition_that_this_version_does_not_know_is_an_error_not_dropped() -> None:
    with pytest.raises(TypeError, match="colours"):
        LetterFilter.from_json({"colours": ["red"]})
