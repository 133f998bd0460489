"""`headrace deploy`: files of the deployment, derived from a pipeline's declaration."""

import difflib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from headrace.console import output
from headrace.console.commands.deploy_lint import lint
from headrace.console.options import AppDir, Reference, load, required
from headrace.deploy.errors import DeployError

app = typer.Typer(no_args_is_help=True, help="Files of the deployment, from the declaration.")
_PROFILE: Final = Path("deploy/profile.toml")
_COMPOSE_FILE: Final = Path("docker-compose.yml")


class Target(StrEnum):
    """What runs the processes, or keeps the topics and users."""

    COMPOSE = "compose"
    KUBERNETES = "kubernetes"
    STRIMZI = "strimzi"


@app.callback()
def deploy() -> None:
    """Files of the deployment, from the declaration."""


@app.command()
def render(
    pipeline: Reference = None,
    *,
    target: Annotated[
        Target,
        typer.Option(
            "--target",
            help="compose: one file for one host. kubernetes: a kustomize base with overlays. "
            "strimzi: topics and users for its operators.",
        ),
    ],
    profile: Annotated[
        Path,
        typer.Option(
            "--profile",
            metavar="FILE",
            help="What the declaration does not say, as TOML; for kubernetes and strimzi.",
            dir_okay=False,
        ),
    ] = _PROFILE,
    place: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="PLACE",
            help="Write this file (compose) or folder; printed when not given.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit code 1 when what is there (docker-compose.yml, or the folder "
            "deploy/manifests/TARGET, unless --output names another) differs from the rendering.",
        ),
    ] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="NAME",
            help="Compose: an image that holds Headrace and the pipeline's code; built from "
            "deploy/images/Dockerfile when not given. The other targets take it from the profile.",
            show_default=False,
        ),
    ] = None,
    app_dir: AppDir = None,
) -> None:
    """Render the files that run a pipeline: the same text for the same declaration and profile.

    Exit code 1 when it cannot be deployed as it is, with a line for each reason.
    """
    reference = required(pipeline)
    if target is Target.COMPOSE:
        _compose(_rendered(reference, image, app_dir), place, check=check)
        return
    if image is not None:
        raise output.UsageError(
            f"--image {image} is for --target compose; the profile ({profile}) names the image of "
            f"{target.value}"
        )
    _tree(target, _files(target, reference, profile, app_dir), place, check=check)


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


def _files(target: Target, reference: str, profile: Path, app_dir: Path | None) -> dict[str, str]:
    from headrace.deploy.profile import read_profile
    from headrace.deploy.rendering import render_kubernetes, render_strimzi

    renderer = render_kubernetes if target is Target.KUBERNETES else render_strimzi
    return renderer(load(reference, app_dir), reference, read_profile(profile))


def _compose(text: str, file: Path | None, *, check: bool) -> None:
    if check:
        wanted = file or _COMPOSE_FILE
        _compare(wanted, text, f"`--output {wanted}` in place of `--check`")
    elif file is None:
        print(text, end="")
    else:
        _write(file, text)


def _tree(target: Target, files: dict[str, str], place: Path | None, *, check: bool) -> None:
    from headrace.deploy.rendering import FOLDERS
    from headrace.deploy.tree import as_stream, differences, write

    folder = place or FOLDERS[target]
    if check:
        again = f"`--output {folder}` in place of `--check`"
        _as_rendered(folder, list(differences(folder, files)), again)
    elif place is None:
        print(as_stream(files), end="")
    else:
        for name in write(folder, files):
            output.progress(f"deleted {folder / name}: it is not rendered any more")
        output.progress(f"wrote {len(files)} files below {folder}")


def _as_rendered(place: Path, lines: list[str], again: str) -> None:
    """Print how a file or folder differs; an error, and so exit code 1, when it does.

    `again` says how it is rendered.
    """
    if not lines:
        output.console(errors=True).print(f"{place} is as rendered", markup=False)
        return
    for line in lines:
        print(line)
    raise DeployError(
        f"{place} differs from the rendering: render it again with {again}, or undo what was edited "
        "by hand"
    )


def _compare(file: Path, text: str, again: str) -> None:
    found = _read(file, again)
    lines = difflib.unified_diff(
        found.splitlines(), text.splitlines(), str(file), "rendered", n=2, lineterm=""
    )
    _as_rendered(file, list(lines), again)


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


app.command()(lint)
