"""`headrace deploy`: files of the deployment, derived from a pipeline's declaration."""

import difflib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from headrace.console import output
from headrace.console.options import AppDir, Reference, load, required
from headrace.deploy.errors import DeployError

app = typer.Typer(no_args_is_help=True, help="Files of the deployment, from the declaration.")


class Target(StrEnum):
    """What runs the processes."""

    COMPOSE = "compose"


_USUAL_FILES: Final = {Target.COMPOSE: Path("docker-compose.yml")}


@app.callback()
def deploy() -> None:
    """Files of the deployment, from the declaration."""


@app.command()
def render(
    pipeline: Reference = None,
    *,
    target: Annotated[Target, typer.Option("--target", help="What runs the processes.")],
    file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="Write this file; printed when not given.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit code 1 when the file (docker-compose.yml unless --output "
            "names another) differs from the rendering.",
        ),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="NAME",
            help="An image that holds Headrace and the pipeline's code; built from "
            "deploy/images/Dockerfile when not given.",
            show_default=False,
        ),
    ] = None,
    app_dir: AppDir = None,
) -> None:
    """Render the files that run a pipeline: the same text for the same declaration."""
    text = _rendered(required(pipeline), image, app_dir)
    if check:
        wanted = file or _USUAL_FILES[target]
        _compare(wanted, text, f"`--output {wanted}` in place of `--check`")
    elif file is None:
        print(text, end="")
    else:
        _write(file, text)


@app.command()
def boards(
    *,
    folder: Annotated[
        Path,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Where `dashboards/` and `alerts/` are, or are made.",
            file_okay=False,
        ),
    ] = Path("deploy"),
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; exit code 1 when a file differs from the rendering."
        ),
    ] = False,
) -> None:
    """Render Grafana's dashboards and Prometheus's alerts: the same for every pipeline."""
    for path, text in _boards().items():
        if check:
            _compare(folder / path, text, f"`headrace deploy boards --folder {folder}`")
        else:
            _make_folder((folder / path).parent)
            _write(folder / path, text)


def _boards() -> Mapping[Path, str]:
    try:
        from headrace.deploy.observability.files import rendered
    except ImportError as error:
        raise DeployError(
            f"rendering boards needs grafana-foundation-sdk ({error}); run: pip install "
            "'headrace[deploy]'"
        ) from error
    return rendered()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeployError(
            f"{folder} cannot be made: {error.strerror}; choose another one with --folder"
        ) from error


def _rendered(reference: str, image: str | None, app_dir: Path | None) -> str:
    from headrace.deploy.compose import ComposeOptions, render_compose

    return render_compose(load(reference, app_dir), reference, ComposeOptions(image=image))


def _compare(file: Path, text: str, again: str) -> None:
    """Print how the file differs; an error, and so exit code 1, when it does.

    `again` says how it is rendered.
    """
    found = _read(file, again)
    if found == text:
        output.console(errors=True).print(f"{file} is as rendered", markup=False)
        return
    lines = difflib.unified_diff(
        found.splitlines(), text.splitlines(), str(file), "rendered", n=2, lineterm=""
    )
    for line in lines:
        print(line)
    raise DeployError(
        f"{file} differs from the rendering: render it again with {again}, or undo what was edited "
        "by hand"
    )


def _read(file: Path, again: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DeployError(f"{file} does not exist: render it with {again}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{file} cannot be read: {error}") from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeployError(
            f"{file} cannot be written: {error.strerror}; choose another file with --output"
        ) from error
    output.progress(f"wrote {file}")
