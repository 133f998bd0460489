"""Pictures of simulated loads, by matplotlib (extra `plot`)."""

# pyright: reportMissingImports=false

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from headrace.deploy.errors import DeployError, PlotMissingError
from headrace.deploy.scaling.simulation import Course, Sight

_COLOURS: Final = ("#475569", "#c2410c", "#0369a1", "#15803d", "#7e22ce", "#a16207")
_PANELS: Final[Sequence[tuple[str, Callable[[Sight], float]]]] = (
    ("jobs a second that come", lambda sight: sight.arrivals),
    ("jobs that wait", lambda sight: sight.backlog),
    ("pods", lambda sight: sight.replicas),
    ("seconds that the oldest waits", lambda sight: sight.oldest),
)


def draw(courses: Sequence[Course], file: Path) -> None:
    """Draw the courses of one load, a line for each strategy; the kind of picture by the file's name.

    Raises:
        PlotMissingError: matplotlib is not installed.
        DeployError: The file cannot be written, or has no ending that matplotlib knows.
    """
    figure, panels = _figure(courses[0].lane)
    for index, (title, value) in enumerate(_PANELS):
        shown = courses[:1] if index == 0 else courses
        for colour, course in zip(_COLOURS * len(courses), shown, strict=False):
            minutes = [sight.at / 60 for sight in course.sights]
            values = [value(sight) for sight in course.sights]
            label = "load" if index == 0 else course.strategy
            panels[index].plot(minutes, values, label=label, color=colour, drawstyle="steps-post")
        panels[index].set_ylabel(title)
        panels[index].spines[["top", "right"]].set_visible(False)
    panels[2].legend(frameon=False)
    panels[-1].set_xlabel("minutes")
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise DeployError(
            f"{file} cannot be drawn: {error}; try a name that ends in .svg or .png"
        ) from error


def _figure(title: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise PlotMissingError(
            f"drawing needs matplotlib ({error}); run: pip install 'headrace[plot]', or leave --plot out"
        ) from error
    figure = Figure(figsize=(10, 11), layout="constrained")
    panels = figure.subplots(len(_PANELS), sharex=True)
    panels[0].set_title(title, loc="left")
    return figure, panels
