"""`headrace acl`: the access rights on Kafka that each role needs."""

from typing import Annotated

import typer

from headrace.console import output
from headrace.console.options import AppDir, Json, Reference, load, required
from headrace.deploy.access import Role

app = typer.Typer(no_args_is_help=True, help="Access rights on Kafka, from the declaration.")


@app.callback()
def acl() -> None:
    """Access rights on Kafka, from the declaration."""


@app.command()
def render(
    pipeline: Reference = None,
    *,
    role: Annotated[
        list[Role] | None,
        typer.Option("--role", help="Only this role; repeat it for more.", show_default=False),
    ] = None,
    server: Annotated[
        str,
        typer.Option("--bootstrap-server", metavar="ADDRESS", help="Kafka's, for the commands."),
    ] = "localhost:9092",
    principal: Annotated[
        str,
        typer.Option(
            "--principal",
            metavar="FORM",
            help="How the cluster names principals, with {} for the user; User:CN={} where it takes "
            "them from certificates.",
        ),
    ] = "User:{}",
    as_json: Json = False,
    app_dir: AppDir = None,
) -> None:
    """Print the rights of each role: commands of kafka-acls.sh, or JSON.

    They are the ones that `headrace deploy render --target strimzi` gives its users. Nothing connects
    to Kafka.
    """
    from headrace.deploy.access_text import acl_commands, acl_entries

    if "{}" not in principal:
        raise output.UsageError(
            f"--principal {principal!r} names every role the same: put {{}} where the user stands"
        )
    declared = load(required(pipeline), app_dir)
    roles = role or list(Role)
    if as_json:
        output.print_json(acl_entries(declared, roles, principal))
        return
    for line in acl_commands(declared, roles, server, principal):
        print(line)
