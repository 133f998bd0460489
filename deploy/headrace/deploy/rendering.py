"""From a declaration and a profile to the files of a target that is a folder."""

from pathlib import Path
from typing import Final

from headrace.deploy.kubernetes.files import kubernetes_files
from headrace.deploy.kubernetes.overlays import kustomization
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile import Profile
from headrace.deploy.refusals import refuse
from headrace.deploy.strimzi import strimzi_files
from headrace.deploy.tree import RENDERED, texts
from headrace.pipeline.pipeline import Pipeline

FOLDERS: Final = {
    "kubernetes": Path("deploy/manifests/kubernetes"),
    "strimzi": Path("deploy/manifests/strimzi"),
}
"""Where a target's files usually are."""


def render_kubernetes(pipeline: Pipeline, reference: str, profile: Profile) -> dict[str, str]:
    """Render the manifests: a kustomize base and an overlay for each environment.

    The same declaration and profile give the same texts; nothing is read from the environment, so no
    secret can get in.

    Args:
        pipeline: The declaration.
        reference: Where the pods find it, `module:attribute`.
        profile: What the declaration does not say.

    Returns:
        The files by their path below the output folder.

    Raises:
        NotDeployableError: The two cannot be deployed as they are.
        YamlMissingError: PyYAML is not installed.
    """
    setting = Setting(pipeline, reference, profile)
    refuse(setting)
    return texts(kubernetes_files(setting), _head("kubernetes", reference))


def render_strimzi(pipeline: Pipeline, reference: str, profile: Profile) -> dict[str, str]:
    """Render the topics and users for Strimzi's operators. As `render_kubernetes`."""
    refuse(Setting(pipeline, reference, profile))
    files = strimzi_files(pipeline, profile)
    listed = {"kustomization.yaml": [kustomization(files)], **files}
    return texts(listed, _head("strimzi", reference))


def _head(target: str, reference: str) -> str:
    return (
        f"{RENDERED} --target {target} {reference}`:\n"
        "# change the declaration or the profile, and render again.\n"
    )
