"""A remembered traceback is the one that the standard library would have written."""

import traceback
from collections.abc import Callable

import pytest

from headrace.consumers.stack_text import traceback_of


def raised(number: int) -> None:
    if number == 1:
        raise ValueError("one")
    raise ValueError(f"number {number}")


def noted() -> None:
    error = KeyError("key")
    error.add_note("a note")
    raise error


def chained() -> None:
    try:
        raised(1)
    except ValueError as error:
        raise RuntimeError("because") from error


def in_passing() -> None:
    try:
        raised(1)
    except ValueError:
        raised(2)


def several() -> None:
    raise ExceptionGroup("two", [ValueError("a"), TypeError("b")])


def misspelt() -> None:
    str(traceback.fromat_exc)  # type: ignore[attr-defined]


def deep(left: int = 150) -> None:
    if not left:
        raise ValueError("deep")
    deep(left - 1)


def without_text() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise TypeError("no text")

    raise Silent


@pytest.mark.parametrize(
    "fails",
    [
        lambda: raised(1),
        lambda: raised(2),
        lambda: raised(3),
        noted,
        chained,
        in_passing,
        several,
        misspelt,
        deep,
        without_text,
    ],
)
def test_it_says_what_the_standard_library_says_the_first_time_and_later(
    fails: Callable[[], None],
) -> None:
    for _ in range(3):
        with pytest.raises(BaseException) as caught:
            fails()
        error = caught.value
        assert traceback_of(error) == "".join(traceback.format_exception(error))


def test_an_exception_that_was_never_raised_has_its_line_alone() -> None:
    assert traceback_of(ValueError("x")) == "ValueError: x\n"


def test_the_same_line_is_put_into_words_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def caught() -> ValueError:
        try:
            raised(1)
        except ValueError as error:
            return error
        raise AssertionError("it raises")

    first = caught()
    text = traceback_of(first)
    monkeypatch.setattr(traceback, "format_tb", lambda _: pytest.fail("written again"))
    assert traceback_of(caught()) == text
