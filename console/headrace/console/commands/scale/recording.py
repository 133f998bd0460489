"""`headrace scale record`: what comes to the lanes, as a file for `headrace scale simulate`."""

import csv
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.console import output
from headrace.console.commands import views
from headrace.console.options import AppDir, Reference, duration, load
from headrace.schemas.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.deploy.lane_recording import Recorded


class RecordError(HeadraceError):
    """A load cannot be recorded."""


def record(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A CSV file that is not there yet.", dir_okay=False),
    ],
    pipeline: Reference = None,
    *,
    every: Annotated[
        timedelta, typer.Option(parser=duration, metavar="DURATION", help="How often to look.")
    ] = "15s",  # type: ignore[assignment]
    over: Annotated[
        timedelta | None,
        typer.Option(
            "--for",
            parser=duration,
            metavar="DURATION",
            help="How long; until Ctrl-C when not given.",
            show_default=False,
        ),
    ] = None,
    app_dir: AppDir = None,
) -> None:
    """Write down how many jobs a second come to each lane, and KEDA's lag. Lanes are only described."""
    from headrace.deploy.lane_recording import Recorded, Recorder
    from headrace.pipeline.errors import KafkaUnavailableError

    recorder = Recorder(load(pipeline, app_dir), views.kafka())
    try:
        out = file.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise RecordError(
            f"{file} cannot be made: {error.strerror}; choose another name"
        ) from error
    end = None if over is None else time.monotonic() + over.total_seconds()
    with closing(out):
        writer = csv.writer(out)
        writer.writerow(Recorded._fields)

        def write(rows: "Iterable[Recorded]") -> None:
            writer.writerows(rows)
            out.flush()

        try:
            while end is None or time.monotonic() < end:
                left = every.total_seconds() if end is None else end - time.monotonic()
                time.sleep(max(0.0, min(every.total_seconds(), left)))
                try:
                    write(recorder.read())
                except KafkaUnavailableError as error:
                    output.progress(f"not known for a while: {error}")
        except KeyboardInterrupt:
            pass
        write(recorder.end())
    output.progress(f"recorded: {file}; try `headrace scale simulate {file}`")
