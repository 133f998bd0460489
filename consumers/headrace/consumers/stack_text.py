"""Tracebacks as text: what fails on the same line a thousand times is put into words once.

Most of what a failed attempt costs is its traceback otherwise: the standard library asks the file system
about every file in it, each time.
"""

import traceback
from types import CodeType, TracebackType
from typing import Final

_REMEMBERED: Final = 256
"""Stacks."""
_DEEP: Final = 100
"""Frames from which a stack is not remembered."""
_WITH_HINTS: Final = (NameError, AttributeError, ImportError, SyntaxError)
"""Their last line may depend on what else the frame knows."""
_HEAD: Final = "Traceback (most recent call last):\n"
_Place = tuple[CodeType, int]
_stacks: dict[tuple[_Place, ...], str] = {}


def traceback_of(error: BaseException) -> str:
    """Give what `traceback.format_exception` gives, as one text."""
    stack = error.__traceback__
    places = _places(stack)
    if stack is None or len(places) > _DEEP or _says_more(error):
        return "".join(traceback.format_exception(error))
    text = _stacks.get(places)
    if text is None:
        text = _remember(places, "".join(traceback.format_tb(stack)))
    return f"{_HEAD}{text}{''.join(traceback.format_exception_only(error))}"


def _says_more(error: BaseException) -> bool:
    """Whether there is more to tell of than one stack and one line."""
    chained = error.__cause__ is not None or error.__context__ is not None
    return chained or isinstance(error, (*_WITH_HINTS, BaseExceptionGroup))


def _places(stack: TracebackType | None) -> tuple[_Place, ...]:
    found: list[_Place] = []
    while stack is not None:
        found.append((stack.tb_frame.f_code, stack.tb_lasti))
        stack = stack.tb_next
    return tuple(found)


def _remember(places: tuple[_Place, ...], text: str) -> str:
    if len(_stacks) >= _REMEMBERED:
        _stacks.clear()
    _stacks[places] = text
    return text
