"""How often a process looks for garbage that only Python's cycle collector finds."""

import gc
from typing import Final

_ALLOCATIONS: Final = 50_000
"""New objects between two looks at the young ones; Python's own 700 fit a program that holds little."""
_YOUNG, _MIDDLE = 20, 50
"""Looks at one generation between two at the next."""


def look_seldom() -> None:
    """Look seldom, and at nothing that was there before.

    For processes that hold many objects and make no cycles in their work: each look at all of them
    stops everything, for some 50 ms where a hundred thousand jobs wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _YOUNG, _MIDDLE)
