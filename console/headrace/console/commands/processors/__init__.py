"""`headrace processors`: the processes that derive state from the stream."""

import typer

from headrace.console.commands.processors.statistics import statistics

app = typer.Typer(no_args_is_help=True, help="Processors: what is derived from the stream.")


@app.callback()
def processors() -> None:
    """Processors: what is derived from the stream."""


app.command()(statistics)
