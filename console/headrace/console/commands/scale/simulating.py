"""`headrace scale simulate`: what strategies would have made of a load."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.commands.scale.choosing import ProfileFile, import_from, profile_from
from headrace.console.options import AppDir, Json, duration, split
from headrace.deploy.scaling.shapes import Shape

if TYPE_CHECKING:
    from headrace.deploy.profile import Profile
    from headrace.deploy.scaling.load import LaneLoad
    from headrace.deploy.scaling.plan import Plan
    from headrace.deploy.scaling.simulation import Course

_OWN = "the profile's, or the lane's own, when not given"


def simulate(
    load: Annotated[
        str,
        typer.Argument(
            metavar="LOAD",
            help="A file, as `headrace scale record` writes it (CSV or JSON lines: time, lane, arrivals "
            f"a second), or a shape: {', '.join(Shape)}.",
        ),
    ],
    *,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="A strategy, or module:attribute of one's own; repeat it for more. All that there are "
            "when not given.",
            show_default=False,
        ),
    ] = None,
    lane: Annotated[
        str | None,
        typer.Option(
            "--lane",
            metavar="NAME",
            help="Only this lane of a file; of a shape, the lane that it comes to (default.normal).",
            show_default=False,
        ),
    ] = None,
    peak: Annotated[
        float, typer.Option("--peak", min=0, metavar="RATE", help="Of a shape: jobs a second.")
    ] = 120.0,
    rate: Annotated[
        float | None,
        typer.Option(
            "--jobs-per-second",
            min=0.001,
            metavar="RATE",
            help=f"What one pod does; {_OWN}.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        timedelta | None,
        typer.Option(
            "--wait",
            parser=duration,
            metavar="DURATION",
            help=f"How long a job may lie ready; {_OWN}.",
            show_default=False,
        ),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", min=1, metavar="N", help=f"Of the lane; {_OWN}.", show_default=False
        ),
    ] = None,
    least: Annotated[
        int | None,
        typer.Option(
            "--min", min=0, metavar="N", help=f"Pods at least; {_OWN}.", show_default=False
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--max", min=1, metavar="N", help=f"Pods at most; {_OWN}.", show_default=False
        ),
    ] = None,
    start: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="Until a new pod works."),
    ] = "20s",  # type: ignore[assignment]
    tail: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="DURATION", help="How long to go on after the load."),
    ] = "30m",  # type: ignore[assignment]
    price: Annotated[
        float | None,
        typer.Option(
            "--price", min=0, metavar="PRICE", help="Of a pod for an hour.", show_default=False
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw it, a picture for each lane (extra `plot`); .svg, .png or .pdf.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    profile: ProfileFile = None,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Replay a load through the rules of KEDA and the autoscaler, with one strategy after the other.

    Each job takes as long as any other, each partition gets as many, and rebalances cost nothing: what is
    shown is what the rules make of it, and a real lane does a little worse.
    """
    from headrace.deploy.scaling.simulation import World, simulate
    from headrace.deploy.scaling.strategies import STRATEGIES, find_strategy

    import_from(app_dir)
    chosen = [find_strategy(name) for name in split(strategy) or STRATEGIES]
    given = profile_from(profile)
    sizes = {
        "jobs_per_second": rate,
        "wait": wait,
        "least": least,
        "most": most,
        "partitions": partitions,
    }
    courses: list[list[Course]] = []
    for each in _loads(load, lane, peak):
        plan = _plan(
            given, each.lane, {name: value for name, value in sizes.items() if value is not None}
        )
        plans = [replace(plan, strategy=strategy) for strategy in chosen]
        courses.append([simulate(one, each, World(start, tail)) for one in plans])
    _show([course for some in courses for course in some], price, json=json)
    if plot is not None:
        _draw(courses, plot)


def _loads(load: str, lane: str | None, peak: float) -> "Sequence[LaneLoad]":
    from headrace.deploy.scaling.load import joined, read_load
    from headrace.deploy.scaling.shapes import shaped

    if load in list(Shape):
        return [shaped(Shape(load), lane or "default.normal", peak)]
    return joined(read_load(Path(load)), lane)


def _plan(profile: "Profile", name: str, sizes: dict[str, Any]) -> "Plan":
    """Make a lane's plan: by the profile, and by what was said otherwise."""
    from headrace.deploy.scaling.plan import Plan
    from headrace.deploy.scaling.strategies import STRATEGIES
    from headrace.pipeline.queues import Lane

    queue, _, priority = name.rpartition(".")
    size = profile.size_of(Lane("", queue, priority))
    partitions = sizes.get("partitions", profile.topics.partitions)
    plan = Plan(
        STRATEGIES["default"],
        size.jobs_per_second,
        size.wait,
        size.min_replicas,
        min(size.max_replicas or partitions, partitions),
        partitions,
        size.floors,
        external=profile.scaler is not None,
        forecast=profile.scaler is not None and profile.scaler.forecast,
    )
    plan = replace(plan, **sizes)
    if plan.least > plan.most:
        raise output.UsageError(
            f"lane {name}: {plan.least} pods at least are more than {plan.most} at most: see --min, --max "
            "and --partitions"
        )
    return plan


def _show(courses: "Sequence[Course]", price: float | None, *, json: bool) -> None:
    if json:
        output.print_json([_as_json(course, price) for course in courses])
        return
    head = ["lane", "strategy", "longest wait", "99 of 100 within", "most waiting", "left"]
    head += ["pod-hours", "moves"] + (["price"] if price is not None else [])
    output.table(head, [list(_cells(course, price)) for course in courses])


def _cells(course: "Course", price: float | None) -> Iterator[object]:
    yield course.lane
    yield course.strategy
    for seconds in (course.longest_wait, course.p99_wait):
        yield output.shown_duration(timedelta(seconds=seconds))
    yield course.largest_backlog
    yield course.left
    yield f"{course.pod_hours:.2f}"
    yield course.moves
    if price is not None:
        yield f"{course.pod_hours * price:.2f}"


def _as_json(course: "Course", price: float | None) -> dict[str, Any]:
    from dataclasses import asdict

    told = asdict(course)
    told["sights"] = [sight._asdict() for sight in course.sights]
    return told if price is None else {**told, "price": course.pod_hours * price}


def _draw(courses: "Sequence[Sequence[Course]]", file: Path) -> None:
    from headrace.deploy.scaling.plotting import draw

    for some in courses:
        one = file if len(courses) == 1 else file.with_stem(f"{file.stem}-{some[0].lane}")
        draw(some, one)
        output.progress(f"drawn: {one}")
