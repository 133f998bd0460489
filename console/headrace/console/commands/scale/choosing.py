"""Which lane is meant, and how it is scaled."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headrace.console import output

if TYPE_CHECKING:
    from headrace.deploy.kubernetes.setting import Setting
    from headrace.deploy.profile import Environment, Profile
    from headrace.pipeline.pipeline import Pipeline
    from headrace.pipeline.queues import Lane

_PROFILE: Final = Path("deploy/profile.toml")

LaneName = Annotated[
    str, typer.Argument(metavar="LANE", help="A lane: queue.priority, or the name of its topic.")
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="What the declaration does not say, as TOML; deploy/profile.toml when not given, and "
        "the sizes that lanes have by themselves where that is not there.",
        dir_okay=False,
        show_default=False,
    ),
]


def import_from(directory: Path | None) -> None:
    """Let strategies of one's own be imported from a folder, the working directory when not given."""
    place = str((directory or Path.cwd()).resolve())
    if place not in sys.path:
        sys.path.insert(0, place)


def profile_from(file: Path | None) -> "Profile":
    """Read the profile, or make one that says nothing."""
    from headrace.deploy.profile import profile_of, read_profile

    if file is not None or _PROFILE.exists():
        return read_profile(file or _PROFILE)
    output.progress(
        f"there is no {_PROFILE}: lanes are taken to be of the sizes that they have by themselves"
    )
    return profile_of({"image": "none", "kafka": {"bootstrap_servers": "none"}}, "none")


def setting_of(pipeline: "Pipeline", reference: str, profile: Path | None) -> "Setting":
    """Put together what says how lanes are scaled.

    Raises:
        NotDeployableError: The profile does not fit the declaration.
        ProfileError: It cannot be used.
    """
    from headrace.deploy.kubernetes.setting import Setting

    return Setting(pipeline, reference, profile_from(profile))


def environment_of(
    setting: "Setting", name: str | None, namespace: str | None
) -> "Environment | None":
    """Find an environment by its name, or else by the namespace that it lives in.

    Raises:
        UsageError: There is none of that name.
    """
    known = setting.profile.environments
    if name is None:
        found = (each for each in known if setting.namespace(each) == namespace)
        name = next(found, None)
    elif name not in known:
        listed = ", ".join(known) or "none"
        raise output.UsageError(f"the profile has no environment {name!r}: it has {listed}")
    return None if name is None else known[name]


def lane_named(pipeline: "Pipeline", name: str) -> "Lane":
    """Find a lane.

    Raises:
        UsageError: There is none of that name.
    """
    lanes = list(pipeline.topology.lanes())
    found = [lane for lane in lanes if name in (lane.topic, f"{lane.queue}.{lane.priority}")]
    if not found:
        known = ", ".join(f"{lane.queue}.{lane.priority}" for lane in lanes)
        raise output.UsageError(f"pipeline {pipeline.name} has no lane {name!r}: it has {known}")
    return found[0]
