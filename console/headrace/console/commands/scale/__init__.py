"""`headrace scale`: why lanes have the workers that they have, and how they would have others."""

import typer

from headrace.console.commands.scale import explaining, recording, simulating

app = typer.Typer(no_args_is_help=True, help="Scaling: explain it, try strategies, record a load.")


@app.callback()
def scale() -> None:
    """Scaling: explain it, try strategies, record a load.

    All by the rules of KEDA and of Kubernetes' HorizontalPodAutoscaler: docs/scaling.md tells them.
    """


app.command()(explaining.explain)
app.command()(simulating.simulate)
app.command()(recording.record)
