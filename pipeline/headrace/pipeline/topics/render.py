"""How a plan reads on a terminal, and in a file."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

STYLES: Final = {"+": "green", "~": "yellow", "!": "bold red", "=": "dim"}


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One line of a plan, with its details.

    Attributes:
        symbol: `+` makes something, `~` changes it, `!` refuses it, `=` leaves it alone.
        action: The same as a word.
        subject: The topic, group or schema.
        details: One short sentence each.
    """

    symbol: str
    action: str
    subject: str
    details: tuple[str, ...]


def show(console: Console, rows: Iterable[PlanRow], summary: str) -> None:
    """Print the rows and the summary. Details stand on the row's line, or below if there are more."""
    for row in rows:
        line = Text.assemble(
            (f"{row.symbol} {row.action:<7}", STYLES.get(row.symbol, "")), f" {row.subject}"
        )
        if len(row.details) == 1 and len(row.details[0]) <= 60:
            line.append(f"  {row.details[0]}", style="dim")
        console.print(line, soft_wrap=True)
        if not (len(row.details) == 1 and len(row.details[0]) <= 60):
            for detail in row.details:
                console.print(Text(f"            {detail}"), soft_wrap=True)
    console.print(Text(summary, style="bold"), soft_wrap=True)
