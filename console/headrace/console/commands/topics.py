"""`headrace topics`: what Kafka lacks for a pipeline, and making it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.console import output
from headrace.console.options import AppDir, From, Json, Reference, Start, load

if TYPE_CHECKING:
    from headrace.pipeline.topics import ApplyReport, TopicPlan

app = typer.Typer(
    no_args_is_help=True, help="Topics, initial offsets and schemas: planned first, then made."
)
_CHANGES_PENDING = 2


Grow = Annotated[
    bool,
    typer.Option(
        "--grow-partitions",
        help="Add partitions where more are declared. Keys move: only for drained ordered lanes.",
    ),
]


@app.command()
def plan(
    pipeline: Reference = None,
    *,
    grow: Grow = False,
    begin: From = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 2 when changes are pending, for CI."),
    ] = False,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Show what `apply` would do. Changes nothing; exit code 1 when something is refused."""
    found, _ = _planned(pipeline, app_dir, grow=grow, begin=begin)
    if json:
        output.print_json(_plan_json(found))
    else:
        found.render(output.console())
    if found.refused:
        raise typer.Exit(1)
    if exit_code and not found.nothing_to_do:
        raise typer.Exit(_CHANGES_PENDING)


@app.command()
def apply(
    pipeline: Reference = None,
    *,
    grow: Grow = False,
    begin: From = None,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Make and change topics as planned; asks nothing. Exit code 1 when something is refused."""
    from headrace.pipeline.topics import apply_plan

    found, kafka = _planned(pipeline, app_dir, grow=grow, begin=begin)
    if not json:
        found.render(output.console())
    report = apply_plan(found, kafka)
    if json:
        output.print_json({"plan": _plan_json(found), "applied": _report_json(report)})
    else:
        output.console().print(report.summary, style="bold", markup=False)
        for problem in report.refused:
            output.console(errors=True).print(f"refused: {problem}", markup=False)
    if not report.ok:
        raise typer.Exit(1)


def _planned(
    reference: str | None, app_dir: Any, *, grow: bool, begin: Start | None
) -> tuple["TopicPlan", Any]:
    from headrace.pipeline import settings
    from headrace.pipeline.topics import plan_topics

    kafka = settings.load(settings.KafkaSettings)
    wishes = settings.load(settings.TopicSettings)
    declared = load(reference, app_dir)
    return plan_topics(declared, kafka, wishes, grow=grow, start=begin), kafka


def _plan_json(found: "TopicPlan") -> dict[str, Any]:
    return {
        "pipeline": found.pipeline,
        "nothing_to_do": found.nothing_to_do,
        "refused": list(found.refused),
        "steps": [
            {"action": row.action, "subject": row.subject, "details": list(row.details)}
            for row in found.rows()
        ],
    }


def _report_json(report: "ApplyReport") -> dict[str, Any]:
    return {
        "ok": report.ok,
        "created": list(report.created),
        "changed": list(report.changed),
        "grown": list(report.grown),
        "offsets": report.offsets,
        "schemas": list(report.schemas),
        "refused": list(report.refused),
    }
