"""`headrace deploy lint`: what in manifests makes Kafka consumers scale wrongly."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.options import Json

if TYPE_CHECKING:
    from headrace.deploy.lint import LintReport


def lint(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Manifests, or folders that hold them.", exists=True),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Look through anyone's manifests for what makes Kafka consumers scale wrongly on KEDA.

    Says of each trap what happens and why, and what to write instead. Exit code 1 when something does
    not work; warnings alone are 0.
    """
    from headrace.deploy.lint import lint as look_through

    report = look_through(files)
    if as_json:
        found = [finding.as_json() for finding in report.findings]
        shown = {"files": len(report.files), "scaled_objects": report.scaled, "findings": found}
        output.print_json(shown)
    else:
        _show(report)
    raise typer.Exit(1 if report.errors else 0)


def _show(report: "LintReport") -> None:
    out = output.console()
    for each in report.findings:
        style = "bold red" if each.severity == "error" else "bold yellow"
        out.print(f"[{style}]{each.severity}[/{style}] ", end="")
        out.print(" ".join(filter(None, (each.file, each.thing, each.place))), markup=False)
        out.print(f"  {each.why}", markup=False)
        out.print(f"  instead: {each.remedy} ({each.rule})", markup=False)
    warnings = len(report.findings) - report.errors
    output.progress(
        f"{len(report.files)} files, {report.scaled} ScaledObjects on Kafka: {report.errors} errors, "
        f"{warnings} warnings"
    )
    if not report.scaled:
        output.progress(
            "nothing in them is scaled by what lies in Kafka, so there was little to look at"
        )
