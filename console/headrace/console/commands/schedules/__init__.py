"""`headrace schedules`: when jobs are submitted by themselves. One module for each kind of deed."""

import typer

from headrace.console.commands.schedules import adding, changing, firing, looking

app = typer.Typer(no_args_is_help=True, help="Schedules: jobs that are submitted by the clock.")


@app.callback()
def schedules() -> None:
    """Schedules: jobs that are submitted by the clock.

    Those that the code declares and those added here stand side by side; `headrace scheduler` fires
    both. Exit code 1 when there is no schedule of the name that is given.
    """


app.command("list")(looking.list_schedules)
app.command()(looking.show)
app.command()(adding.add)
app.command()(changing.pause)
app.command()(changing.resume)
app.command()(firing.run)
app.command()(firing.backfill)
app.command()(changing.remove)
