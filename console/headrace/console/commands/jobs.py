"""`headrace jobs`: what became of jobs."""

import typer

from headrace.console.commands.cancel import cancel
from headrace.console.commands.job_list import list_jobs
from headrace.console.commands.job_show import show
from headrace.console.commands.jobs_watched import watch

app = typer.Typer(no_args_is_help=True, help="Find jobs, see what became of them, cancel them.")
app.command()(show)
app.command("list")(list_jobs)
app.command()(watch)
app.command()(cancel)


@app.callback()
def jobs() -> None:
    """Find jobs, see what became of them, cancel them."""
