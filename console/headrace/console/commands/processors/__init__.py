"""`headrace processors`: the processes that derive state from what happens to jobs."""

import typer

from headrace.console.commands.processors.projector import projector, rebuild, status
from headrace.console.commands.processors.statistics import statistics

app = typer.Typer(
    no_args_is_help=True,
    help="Derive state from what happens to jobs: the query store and statistics. All of it can be "
    "made anew from Kafka.",
)
app.command()(projector)
app.command()(rebuild)
app.command()(status)
app.command()(statistics)


@app.callback()
def processors() -> None:
    """Derive state from what happens to jobs: the query store and statistics."""
