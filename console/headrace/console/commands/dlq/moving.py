"""`headrace dlq export` and `import`: dead letters as JSON lines."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.commands.dlq.asking import By, who
from headrace.console.commands.dlq.conditions import none_match, with_conditions
from headrace.console.commands.dlq.looking import First
from headrace.console.options import AppDir, Json, load, reference_and_rest

if TYPE_CHECKING:
    from headrace.pipeline.pipeline import Pipeline
    from headrace.processors.errors import ImportLineError
    from headrace.processors.repair.letter_filter import LetterFilter
    from headrace.processors.repair.transfer import ImportReport

_STANDARD = "-"
_File = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="The file; - is the standard stream.", show_default=False),
]


@with_conditions
def export(
    first: First = None,
    second: _File = None,
    *,
    wanted: "LetterFilter",
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Write dead letters to a file as JSON lines, nothing of them lost: bytes, headers, keys, times.

    Open ones, unless --state says otherwise. The file is there when all of it is written. Exit code 1
    when none matches; with --json that is a count of 0 and exit code 0.
    """
    from headrace.processors.dead_letter_view import DeadLetters
    from headrace.processors.repair.transfer import export_line

    pipeline, file = _pipeline_and_file(first, second, app_dir)
    count = 0
    with views.progress() as progress, _written(file) as stream:
        for letter in DeadLetters(pipeline, views.kafka(), progress).select(wanted):
            stream.write(export_line(letter).encode(errors="replace") + b"\n")
            count += 1
    if json and file != _STANDARD:
        output.print_json({"exported": count})
    elif not count:
        raise none_match(wanted)
    else:
        output.progress(f"{count:,} dead letters exported to {file}")


def import_letters(
    first: First = None,
    second: _File = None,
    *,
    force: Annotated[
        bool, typer.Option(help="Also letters that are there already: they will be there twice.")
    ] = False,
    by: By = None,
    json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Append exported dead letters to the topics that they came from. They are open then.

    Letters that are there already (same job, generation and origin) are skipped, so a broken-off
    import can be done again. A line that is broken is named with its number, and the others go on;
    exit code 1 then.
    """
    pipeline, file = _pipeline_and_file(first, second, app_dir)
    report = _import(pipeline, file, by, force=force)
    if json:
        output.print_json(report.as_json())
    else:
        print(
            f"{report.imported:,} dead letters imported, {report.skipped:,} were there already, "
            f"{report.refused:,} lines refused"
        )
    if report.refused:
        raise typer.Exit(1)


def _import(pipeline: "Pipeline", file: str, by: str | None, *, force: bool) -> "ImportReport":
    from headrace.processors.repair.audit import AuditEntry, write_audit
    from headrace.processors.repair.transfer import Importer

    kafka = views.kafka()
    with views.progress() as progress, _opened(file) as lines:
        importer = Importer(pipeline, kafka, force=force, progress=progress)
        try:
            return importer.run(lines, _refused)
        finally:
            count = importer.report.imported
            if count:
                details = {"file": file, **importer.report.as_json()}
                entry = AuditEntry(views.now(), who(by), "import", "", count, details)
                write_audit(kafka, pipeline.topology, entry)


def _refused(number: int, error: "ImportLineError") -> None:
    output.progress(f"line {number}: {error}")


def _pipeline_and_file(
    first: str | None, second: str | None, app_dir: Path | None
) -> "tuple[Pipeline, str]":
    reference, rest = reference_and_rest((first, second), 1)
    if len(rest) != 1:
        raise output.UsageError(f"give one file, got {' '.join(rest) or 'none'}")
    return load(reference, app_dir), rest[0]


@contextlib.contextmanager
def _written(file: str) -> Iterator[IO[bytes]]:
    """Give what to write to; a file takes its name when it is complete, if anything is in it."""
    if file == _STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{file}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        if part.stat().st_size:
            part.replace(file)
    except OSError as error:
        raise output.UsageError(f"{file} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == _STANDARD:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - an error of the body is not one of opening
    except OSError as error:
        raise output.UsageError(f"{file} cannot be read: {error}") from None
    with stream:
        yield stream
