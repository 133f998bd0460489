"""One live line on a terminal; on anything else a line every ten seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from headrace.console.proof.run_options import State

_EVERY: Final = 10.0


def line_of(state: "State") -> str:
    """Give the line."""
    minutes, seconds = divmod(int(state.seconds), 60)
    parts = [
        f"{minutes}:{seconds:02} {state.phase}",
        f"{state.accepted:,} jobs accepted",
        f"{state.done:,} done",
        f"{state.faults} faults",
        f"{state.workers} workers",
    ]
    if state.remaining:
        parts.append(f"{state.remaining:,} records left")
    if state.now:
        parts.append("now " + ", ".join(state.now))
    return "  ".join(parts)


@contextmanager
def shown(console: "Console") -> Iterator[Callable[["State"], None]]:
    """Show states for the length of the block."""
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda state: status.update(line_of(state))
        return
    last = [float("-inf")]

    def now_and_then(state: "State") -> None:
        if time.monotonic() - last[0] >= _EVERY:
            last[0] = time.monotonic()
            console.print(line_of(state), markup=False)

    yield now_and_then
