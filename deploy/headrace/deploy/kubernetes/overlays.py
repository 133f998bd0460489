"""Kustomize: the base that lists every file, and an overlay for each environment."""

from collections.abc import Iterable
from typing import Any, Final

from headrace.deploy.kubernetes.external_scaling import scaler_address
from headrace.deploy.kubernetes.setting import Manifest, Setting
from headrace.deploy.profile import Environment

_API: Final = "kustomize.config.k8s.io/v1beta1"
_TRIGGER: Final = "/spec/triggers/0/metadata"
_RESTRICTED: Final = "pod-security.kubernetes.io/"


def kustomization(resources: Iterable[str], **more: Any) -> Manifest:
    """Make a `kustomization.yaml`. Empty parts are left out."""
    given = {name: value for name, value in more.items() if value}
    return {
        "apiVersion": _API,
        "kind": "Kustomization",
        "resources": sorted(resources),
        **given,
    }


def overlay_files(setting: Setting) -> dict[str, list[Manifest]]:
    """Give the files of every overlay."""
    files: dict[str, list[Manifest]] = {}
    for name, environment in setting.profile.environments.items():
        namespace = setting.namespace(name)
        folder = f"overlays/{name}"
        files[f"{folder}/namespace.yaml"] = [_namespace(setting, namespace)]
        files[f"{folder}/kustomization.yaml"] = [_overlay(setting, environment, namespace)]
    return files


def _overlay(setting: Setting, environment: Environment, namespace: str) -> Manifest:
    return kustomization(
        ["../../base", "namespace.yaml"],
        namespace=namespace,
        images=_images(setting.profile.image, environment),
        patches=[
            *_replicas(setting, environment),
            *_kafka(setting, environment),
            *_scaler(setting, namespace),
        ],
    )


def _replicas(setting: Setting, environment: Environment) -> list[dict[str, Any]]:
    """Bound the pods of each lane whose own bounds are others."""
    patches: list[dict[str, Any]] = []
    for lane in setting.pipeline.topology.lanes():
        usual, here = setting.plan(lane), setting.plan(lane, environment)
        changes: dict[str, Any] = {}
        if (here.least, here.most) != (usual.least, usual.most):
            changes["/spec/minReplicaCount"] = here.least
            changes["/spec/maxReplicaCount"] = here.most
        if here.fallback != usual.fallback:
            changes["/spec/fallback/replicas"] = here.fallback.replicas
        if changes:
            target = {"kind": "ScaledObject", "name": setting.lane_name(lane)}
            patches.append(_patch(target, changes))
    return patches


def _kafka(setting: Setting, environment: Environment) -> list[dict[str, Any]]:
    servers = environment.bootstrap_servers
    if servers is None:
        return []
    settings = {"kind": "ConfigMap", "name": setting.settings_name}
    patches = [_patch(settings, {"/data/HEADRACE_BOOTSTRAP_SERVERS": servers})]
    if setting.profile.scaler is None:
        patches.append(_patch({"kind": "ScaledObject"}, {f"{_TRIGGER}/bootstrapServers": servers}))
    return patches


def _scaler(setting: Setting, namespace: str) -> list[dict[str, Any]]:
    """Say in which namespace KEDA finds the scaler."""
    if setting.profile.scaler is None:
        return []
    address = scaler_address(setting, namespace)
    return [_patch({"kind": "ScaledObject"}, {f"{_TRIGGER}/scalerAddress": address})]


def _patch(target: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    from headrace.deploy.yaml_text import to_yaml_list  # noqa: PLC0415 - needs the extra

    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    return {"target": target, "patch": to_yaml_list(operations)}


def _namespace(setting: Setting, name: str) -> Manifest:
    """The strictest of Kubernetes' own standards for pods holds in it."""
    levels = {f"{_RESTRICTED}{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**setting.everything, **levels}},
    }


def _images(image: str, environment: Environment) -> list[dict[str, str]]:
    """Choose the tag. An image that names a digest is that one, whatever its tag."""
    if "@" in image:
        return []
    # What stands before the last slash may hold a port
    place, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    wanted = environment.tag or tag
    return [{"name": f"{place}{slash}{name}", "newTag": wanted}] if wanted else []
