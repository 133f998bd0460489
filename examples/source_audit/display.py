"""What a person sees while it runs: a live bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

LINE_EVERY: Final = 2.0
"""Seconds between progress lines where there is no terminal."""
_LABEL: Final = 12


class Display:
    """Writes to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def fact(self, label: str, text: str) -> None:
        """Print a labelled line."""
        line = Text.assemble((f"  {label:<{_LABEL}}", "bold cyan"), text)
        self.console.print(line, soft_wrap=True)

    def note(self, text: str, style: str = "") -> None:
        """Print a line of its own."""
        self.console.print(Text(f"  {text}", style=style), soft_wrap=True)

    def indented(self, content: RenderableType) -> None:
        """Print a table in line with the other lines."""
        self.console.print(Padding(content, (0, 0, 0, 2), expand=False))

    def blank(self) -> None:
        """Print an empty line."""
        self.console.print()

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator["Bar"]:
        """Show progress for the length of a `with` block."""
        if self.console.is_terminal:
            with _rich_progress(self.console) as progress:
                task = progress.add_task(label, total=total, tail="")
                yield Bar(label, total, self, (progress, task))
        else:
            bar = Bar(label, total, self)
            yield bar
            bar.last_line()


def _rich_progress(console: Console) -> Progress:
    return Progress(
        TextColumn(f"  [bold cyan]{{task.description:<{_LABEL - 1}}}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tail]}"),
        console=console,
    )


@dataclass(slots=True)
class Bar:
    """One progress bar, or its lines."""

    label: str
    total: int
    display: Display
    live: tuple[Progress, TaskID] | None = None
    _due: float = 0.0
    _line: str = ""
    _printed: str = ""

    def update(self, done: int, tail: str = "") -> None:
        """Show how much is done, and some words."""
        if self.live is not None:
            progress, task = self.live
            progress.update(task, completed=done, tail=tail)
            return
        self._line = f"{done:,} of {self.total:,}  {tail}".rstrip()
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + LINE_EVERY
            self.last_line()

    def last_line(self) -> None:
        """Print where it stands, unless that was printed already."""
        if self._line != self._printed:
            self._printed = self._line
            self.display.fact(self.label, self._line)
