"""A board as plain values, and how it becomes Grafana's JSON.

The panels of a board share one time axis and one crosshair, so that what happens together is seen
together.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
_WIDTH: Final = 24
_TALL, _SHORT = 8, 4


class Unit(StrEnum):
    """What the numbers of a panel are, by Grafana's own names."""

    COUNT = "short"
    PER_SECOND = "ops"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel, and how its lines are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What it shows.
        about: What it means, and what is to be seen in it.
        unit: Of its numbers.
        queries: Its lines.
        stacked: Whether lines stand on each other.
        number: Whether it is the latest number alone, not a line.
        columns: Its width, in 24ths of the board's.
    """

    title: str
    about: str
    unit: Unit
    queries: tuple[Query, ...]
    stacked: bool = False
    number: bool = False
    columns: int = 12


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of a board: label values of a metric."""

    name: str
    label: str
    query: str
    pattern: str = ""
    """A regular expression that takes out of each value what is meant."""


@dataclass(frozen=True, slots=True)
class Board:
    """One board.

    Attributes:
        name: Its file's name and its uid.
        title: What people call it.
        about: What question it answers.
        variables: What can be chosen.
        rows: Panels under headings.
    """

    name: str
    title: str
    about: str
    variables: tuple[Variable, ...]
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    def render(self) -> str:
        """Write it as Grafana imports it; the same text for the same board."""
        text: str = JSONEncoder(sort_keys=True, indent=2).encode(_built(self))
        return text + "\n"


def _built(board: Board) -> Any:
    made = (
        dashboard.Dashboard(board.title)
        .uid(f"headrace-{board.name}")
        .description(board.about)
        .tags(["headrace"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(_links())
        .with_variable(
            dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus")
        )
    )
    for each in board.variables:
        made = made.with_variable(_variable(each))
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_panel(panel))
    return made.build()


def _links() -> Any:
    return (
        dashboard.DashboardLink("Headrace")
        .tags(["headrace"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _variable(variable: Variable) -> Any:
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_SOURCE)
        .query(variable.query)
        .regex(variable.pattern)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> Any:
    kind = stat.Panel() if panel.number else timeseries.Panel()
    made = (
        kind.title(panel.title)
        .description(panel.about)
        .unit(panel.unit.value)
        .datasource(_SOURCE)
        .span(panel.columns)
        .height(_SHORT if panel.number else _TALL)
    )
    for number, query in enumerate(panel.queries):
        made = made.with_target(_target(query, number))
    return made if panel.number else _drawn(made, stacked=panel.stacked)


def _drawn(made: Any, *, stacked: bool) -> Any:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .placement(LegendPlacement.RIGHT)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    made = (
        made.legend(legend)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .min(0)
        .fill_opacity(25 if stacked else 8)
    )
    if stacked:
        made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return made


def _target(query: Query, number: int) -> Any:
    return (
        prometheus.Dataquery()
        .expr(query.expression)
        .legend_format(query.legend)
        .ref_id(chr(ord("A") + number))
        .datasource(_SOURCE)
        .range()
    )
