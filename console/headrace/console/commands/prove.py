"""`headrace prove`: whether the promises hold on this machine, or against a cluster of yours."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headrace.console import output
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.console.proof.findings import Findings
    from headrace.console.proof.run_options import ProofOptions
    from headrace.console.proof.runner import Run
    from headrace.pipeline.settings import KafkaSettings

_BROKEN: Final = 1
_NOT_RUN: Final = 2
_RATE: Final = 40.0


def prove(
    minutes: Annotated[
        float,
        typer.Option(min=0.1, max=10_000, metavar="N", help="How long faults are made."),
    ] = 5.0,
    *,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Repeats a run's choices; drawn when not given."),
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(help="kill, zombie, broker, network, storm, dlq, all, or calm for no faults."),
    ] = "all",
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all findings as JSON; - for here."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run's folder; build/proof-… when not given."),
    ] = None,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Your own Kafka; HEADRACE_BOOTSTRAP_SERVERS when not given. Without either an "
            "embedded broker is started for the run alone.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many jobs at least, spread over the time."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, max=10_000, help="Jobs a second; 40 when not given.")
    ] = None,
    faults: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many faults at least, spread over the time."),
    ] = None,
) -> None:
    """Prove that no job is lost, doubled, early or out of order while processes, broker and network fail.

    Real workers run jobs on a real Kafka while faults are made; then a checker that believes none
    of the engine's figures joins what the handlers logged with what lies on the topics.

    Exit code 0 when every promise was kept, 1 when one was broken, 2 when the run could not be
    made or did not come to its end. The run's folder is kept, with all logs.
    """
    # As Ctrl-C: what was started is ended, and what there is gets checked.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run = _run(minutes, seed, scenario, keep, bootstrap, jobs, rate, faults)
        findings = _played(run)
    except HeadraceError as error:
        output.print_error(error)
        raise typer.Exit(_NOT_RUN) from None
    _report(run, findings, json)
    if not run.complete:
        raise typer.Exit(_NOT_RUN)
    raise typer.Exit(0 if findings.ok else _BROKEN)


def _run(
    minutes: float,
    seed: int | None,
    scenario: str,
    keep: Path | None,
    bootstrap: str | None,
    jobs: int | None,
    rate: float | None,
    faults: int | None,
) -> "Run":
    from headrace.console.proof.run_options import ProofOptions, new_seed
    from headrace.console.proof.runner import Run

    if jobs is not None and rate is not None:
        raise output.UsageError("--jobs and --rate both say how fast: give one of them")
    wanted = jobs / (minutes * 60) if jobs is not None else rate or _RATE
    chosen = new_seed() if seed is None else seed
    options = ProofOptions(
        folder=_folder(keep, chosen),
        seed=chosen,
        minutes=minutes,
        scenario=scenario,
        kafka=_kafka(bootstrap),
        rate=wanted,
        faults=faults,
    )
    run = Run(options)
    _announce(options, run)
    return run


def _folder(keep: Path | None, seed: int) -> Path:
    import time

    folder = keep or Path("build") / f"proof-{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    if folder.exists() and any(folder.iterdir()):
        raise output.UsageError(
            f"{folder} is not empty: a run's logs must not be mixed with others; choose another "
            "--keep folder, or remove it"
        )
    return folder.resolve()


def _kafka(bootstrap: str | None) -> "KafkaSettings | None":
    from headrace.pipeline import settings

    found = settings.load(settings.KafkaSettings, bootstrap_servers=bootstrap)
    return found if found.bootstrap_servers else None


def _announce(options: "ProofOptions", run: "Run") -> None:
    output.progress(f"seed {options.seed} (--seed {options.seed} repeats it)")
    output.progress(f"everything is kept in {options.folder}")
    if options.kafka is not None:
        output.progress(
            f"on your Kafka at {options.kafka.bootstrap_servers}: topics and groups "
            f"{run.pipeline.name}.* are made and deleted again, nothing else is touched"
        )


def _played(run: "Run") -> "Findings":
    """Play the run, read its topics while there is a broker, and check it."""
    from headrace.console.proof import checker, dump
    from headrace.console.proof.progress import shown
    from headrace.console.proof.topics_read import read_topics

    try:
        with shown(output.console(errors=True)) as show:
            try:
                run.play(output.progress, show)
            except KeyboardInterrupt:
                output.progress("ended before its time: what there is gets checked")
        output.progress("reading the topics")
        records = read_topics(run.kafka, run.pipeline.name)
    finally:
        run.close()
    dump.write(records, run.folder.path)
    return checker.check_folder(run.folder.path)


def _report(run: "Run", findings: "Findings", json: Path | None) -> None:
    from headrace.console.proof import report
    from headrace.console.proof.takeovers import waits

    found = waits(run.folder.faults())
    document = findings.as_json() | {
        "complete": run.complete,
        "skipped": [str(kind) for kind in run.skipped],
        "ended_by_themselves": len(run.crew.surprises),
        "waits": [each.as_json() for each in found],
        "folder": str(run.folder.path),
    }
    _write_json(document, run.folder.path / "findings.json")
    if json is not None and str(json) == "-":
        output.print_json(document)
    else:
        report.print_report(findings)
        for line in (*(each.text() for each in found), *_remarks(run)):
            print(line)
        if json is not None:
            _write_json(document, json)


def _remarks(run: "Run") -> list[str]:
    remarks = [f"logs: {run.folder.path}"]
    if run.crew.surprises:
        remarks.insert(
            0, f"{len(run.crew.surprises)} processes ended by themselves; see their logs"
        )
    if run.skipped:
        kinds = ", ".join(run.skipped)
        remarks.insert(0, f"skipped, since it needs a broker of the proof's own: {kinds}")
    if not run.complete:
        remarks.insert(0, "INCOMPLETE: the run was ended before its time; this proves nothing")
    return remarks


def _write_json(document: dict[str, Any], path: Path) -> None:
    import json

    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
    except OSError as error:
        sys.stderr.write(f"error: {path} cannot be written ({error.strerror})\n")
        raise typer.Exit(_NOT_RUN) from None
