"""On which nodes pods are put: apart from each other, on spot nodes or not."""

from collections.abc import Mapping
from typing import Any

from headrace.deploy.kubernetes.setting import Setting


def spread(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Over zones, then over nodes: one that fails takes as few of a lane's pods along as can be."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def affinity(setting: Setting, labels: Mapping[str, str], *, spot: bool) -> dict[str, Any]:
    """Apart from its like; on spot nodes by preference, or never."""
    apart = {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": labels},
                },
            }
        ]
    }
    name, _, value = setting.profile.spot.label.partition("=")
    match = {"key": name, "operator": "In" if spot else "NotIn", "values": [value]}
    term = {"matchExpressions": [match]}
    wish = "preferredDuringSchedulingIgnoredDuringExecution"
    must = "requiredDuringSchedulingIgnoredDuringExecution"
    nodes: dict[str, Any] = {wish: [{"weight": 100, "preference": term}]}
    if not spot:
        nodes = {must: {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": nodes, "podAntiAffinity": apart}


def tolerations(setting: Setting) -> list[dict[str, Any]] | None:
    """What lets pods onto spot nodes; None when these have no taint."""
    taint = setting.profile.spot.taint
    return [{"key": taint, "operator": "Exists", "effect": "NoSchedule"}] if taint else None
