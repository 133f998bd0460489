"""`headrace dlq`: dead letters, looked at and repaired. One module for each kind of deed."""

import typer

from headrace.console.commands.dlq import discarding, editing, looking, moving, replaying

app = typer.Typer(no_args_is_help=True)


@app.callback()
def dlq() -> None:
    """Dead letters: jobs that are not tried again.

    A letter stays where it lies; what was done about it is noted. Commands that take conditions
    look at open letters, unless --state says otherwise; all conditions must be met.
    """


app.command("list")(looking.list_letters)
app.command()(looking.show)
app.command()(looking.stats)
app.add_typer(replaying.app, name="replay")
app.command()(editing.edit)
app.command()(discarding.discard)
app.command()(moving.export)
app.command("import")(moving.import_letters)
