"""What commands print: results on standard output, everything else on standard error.

Colours are for terminals alone, and not when NO_COLOR is set.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from rich.console import Console

_NUMBER: Final = re.compile(r"-|\d[\d.,]*( ?[a-z]+)*( \d+[a-z]+)?( ago)?")
"""What a column is set to the right for: counts, sizes and durations, no ids or times of day."""


class UsageError(HeadraceError):
    """A command was called wrongly; ends with exit code 2."""


def console(*, errors: bool = False) -> "Console":
    """Make a writer of styled text that breaks no lines."""
    from rich.console import Console

    return Console(stderr=errors, highlight=False, soft_wrap=True)


def print_json(content: Any) -> None:
    """Print one JSON document: indented for a terminal, on one line for a pipe."""
    print(json.dumps(content, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def facts(rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values, the values in one column. Rows without a value are left out."""
    known = [(name, str(value)) for name, value in rows if value is not None and value != ""]
    width = max((len(name) for name, _ in known), default=0)
    out = console()
    for name, value in known:
        out.print(f"[dim]{name:<{width}}[/dim]  ", end="")
        out.print(value, markup=False)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns; the numbers in them to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    right = [bool(cells) and all(_numeric(row[i]) for row in cells) for i in range(len(head))]
    out = console()
    for line, style in [(list(head), "dim"), *((row, None) for row in cells)]:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        out.print("  ".join(padded).rstrip(), style=style, markup=False)


def progress(line: str) -> None:
    """Tell a person what is going on, on standard error."""
    console(errors=True).print(line, style="dim", markup=False)


def print_error(error: BaseException) -> None:
    """Print an error as `error: …`, a line for each of its lines.

    With HEADRACE_LOG_LEVEL=debug the traceback comes first.
    """
    if os.environ.get("HEADRACE_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    out = console(errors=True)
    for line in str(error).splitlines() or [type(error).__name__]:
        out.print("[bold red]error:[/bold red] ", end="")
        out.print(line, markup=False)


def shown_bytes(count: int) -> str:
    """Write a size as people read it: `44.1 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def shown_duration(duration: timedelta) -> str:
    """Write a duration with its two largest units: `2d 4h`, `3m 20s`, `0.4s`."""
    seconds = duration.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f}s".replace(".0s", "s")
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _numeric(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
