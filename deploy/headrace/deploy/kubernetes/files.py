"""All files of the Kubernetes target."""

from headrace.deploy.kubernetes.lanes import lane_manifests
from headrace.deploy.kubernetes.overlays import kustomization, overlay_files
from headrace.deploy.kubernetes.services import service_files
from headrace.deploy.kubernetes.setting import Manifest, Setting
from headrace.deploy.kubernetes.surroundings import surrounding_files


def kubernetes_files(setting: Setting) -> dict[str, list[Manifest]]:
    """Give the documents of each file, by its path below the output folder."""
    base = {
        **surrounding_files(setting),
        **service_files(setting),
        **{
            f"workers/{setting.lane_name(lane)}.yaml": lane_manifests(setting, lane)
            for lane in setting.pipeline.topology.lanes()
        },
    }
    return {
        "base/kustomization.yaml": [kustomization(base)],
        **{f"base/{name}": documents for name, documents in base.items()},
        **overlay_files(setting),
    }
