"""The external scaler's manifests: what a profile with `[scaler]` adds, and what it takes away."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from examples.shop.jobs import shop
from headrace.deploy.errors import ProfileError
from headrace.deploy.kubernetes import kubernetes_files
from headrace.deploy.kubernetes.external_scaling import external_trigger
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.lint.looking import lint
from headrace.deploy.profile import profile_of
from headrace.deploy.rendering import render_kubernetes
from headrace.pipeline.settings import ScalerSettings, load
from headrace.processors.scale_in.cluster_api import Kind
from headrace.processors.scale_in.controller import labels_of
from headrace.processors.scaler.trigger import read_trigger

SECRETS = {"certificates_secret": "scaler-server", "client_secret": "scaler-client"}
STEERING = {**SECRETS, "api_cidrs": ["10.0.0.1/32"]}
SHOP = "examples.shop.jobs:shop"
CORE = ("v1", "apps/v1", "policy/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1")


def setting(scaler: dict[str, Any] | None, **profile: Any) -> Setting:
    secured = {"bootstrap_servers": "kafka:9093", "security": "scram", "ca_secret": "ca"}
    given = {"image": "shop:1", "kafka": secured, "environments": {"production": {}}, **profile}
    if scaler is not None:
        given["scaler"] = scaler
    return Setting(shop, SHOP, profile_of(given, "test"))


def found(of: Setting, kind: str) -> dict[str, Any]:
    return {
        each["metadata"]["name"]: each
        for documents in kubernetes_files(of).values()
        for each in documents
        if each["kind"] == kind
    }


@pytest.mark.parametrize("lane", list(shop.topology.lanes()), ids=lambda lane: lane.topic)
def test_the_scaler_understands_the_trigger_that_is_rendered_for_a_lane(lane: Any) -> None:
    of = setting({**SECRETS, "start_time": "90s", "forecast": True})
    trigger = external_trigger(of, lane)
    assert trigger["type"] == "external-push"
    lanes = [each.topic for each in shop.topology.lanes()]
    read = read_trigger(trigger["metadata"], "shop", lanes, timedelta())
    threshold = of.plan(lane).threshold
    assert (read.lane, read.target) == (lane.topic, threshold)
    assert (read.start_time, read.forecast) == (timedelta(seconds=90), True)
    assert read.most == threshold * of.max_replicas(lane)


def test_every_lane_asks_the_scaler_with_a_certificate_and_kafka_no_more() -> None:
    of = setting(SECRETS)
    for scaled in found(of, "ScaledObject").values():
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["type"] == "external-push"
        assert trigger["authenticationRef"] == {"name": "shop-scaler"}
        assert trigger["metadata"]["enableTLS"] == "true"
        assert scaled["spec"]["fallback"]["behavior"] == "currentReplicasIfHigher"
    authentications = found(of, "TriggerAuthentication")
    assert list(authentications) == ["shop-scaler"]
    targets = authentications["shop-scaler"]["spec"]["secretTargetRef"]
    assert {each["parameter"]: (each["name"], each["key"]) for each in targets} == {
        "caCert": ("scaler-client", "ca.crt"),
        "tlsClientCert": ("scaler-client", "tls.crt"),
        "tlsClientKey": ("scaler-client", "tls.key"),
    }
    workers = found(of, "Deployment")["shop-media-normal"]
    assert "KEDA_KAFKA_USER" not in str(workers)


def test_without_a_scaler_in_the_profile_nothing_of_it_is_rendered() -> None:
    files = kubernetes_files(setting(None))
    assert "base/scaler.yaml" not in files
    assert "shop-scaler" not in str({name: text for name, text in files.items() if "base" in name})


def test_its_pod_has_settings_that_it_accepts_certificates_and_no_token() -> None:
    pod = found(setting(SECRETS), "Deployment")["shop-scaler"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["scaler"]
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    prefix = "HEADRACE_"
    fields = {
        name.removeprefix(prefix).lower(): value
        for name, value in given.items()
        if name.startswith(f"{prefix}SCALER_")
    }
    settings = load(ScalerSettings, **fields)
    assert settings.scaler_tls is not None
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert {str(file.parent) for file in settings.scaler_tls} <= mounts
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("shop", False)
    assert not settings.scaler_scale_in
    assert not found(setting(SECRETS), "Role")


def test_where_it_steers_scaling_in_it_may_look_at_and_annotate_pods_and_scaled_objects_alone() -> (
    None
):
    of = setting(STEERING)
    pod = found(of, "Deployment")["shop-scaler"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("shop-scaler", True)
    rules = found(of, "Role")["shop-scaler"]["rules"]
    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["pods"], ["get", "list", "patch"]),
        (["scaledobjects"], ["get", "list", "patch"]),
    ]
    # These are the kinds that the controller asks for
    assert {kind.value.rpartition("/")[2] for kind in Kind} == {"pods", "scaledobjects"}
    binding = found(of, "RoleBinding")["shop-scaler"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "shop-scaler"}]
    assert not found(of, "ClusterRole")


def test_the_controller_finds_worker_pods_and_scaled_objects_by_what_is_rendered() -> None:
    of = setting(STEERING)
    workers = labels_of(shop, "worker").items()
    chosen = [
        name
        for name, each in found(of, "Deployment").items()
        if workers <= each["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert sorted(chosen) == sorted(found(of, "ScaledObject"))
    for each in found(of, "ScaledObject").values():
        assert labels_of(shop).items() <= each["metadata"]["labels"].items()


def test_a_pod_that_takes_longer_to_start_than_is_looked_ahead_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"`scaler.start_time` = '16m'"):
        setting({**SECRETS, "start_time": "16m"})


def test_keda_alone_reaches_it_and_it_reaches_the_api_server_alone() -> None:
    policies = found(setting(STEERING), "NetworkPolicy")
    (asked,) = policies["shop-scaler"]["spec"]["ingress"]
    (keda,) = asked["from"]
    labels = keda["namespaceSelector"]["matchLabels"]
    assert labels == {"kubernetes.io/metadata.name": "keda"}
    assert asked["ports"] == [{"protocol": "TCP", "port": "grpc"}]
    (reached,) = policies["shop-scaler-api"]["spec"]["egress"]
    assert reached["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    service = found(setting(STEERING), "Service")["shop-scaler"]["spec"]
    assert service["publishNotReadyAddresses"]
    assert service["ports"] == [{"name": "grpc", "port": 6000, "targetPort": "grpc"}]


def test_an_overlay_says_in_which_namespace_keda_finds_it() -> None:
    environments = {"production": {"namespace": "live", "bootstrap_servers": "other:9093"}}
    files = kubernetes_files(setting(SECRETS, environments=environments))
    (overlay,) = files["overlays/production/kustomization.yaml"]
    operations = [
        (patch["target"]["kind"], each["path"], each["value"])
        for patch in overlay["patches"]
        for each in yaml.safe_load(patch["patch"])
    ]
    place = "/spec/triggers/0/metadata/scalerAddress"
    assert ("ScaledObject", place, "shop-scaler.live:6000") in operations
    (trigger,) = found(setting(SECRETS), "ScaledObject")["shop-media-normal"]["spec"]["triggers"]
    for kind, path, _ in operations:
        if kind == "ScaledObject" and path.startswith("/spec/triggers/0/metadata/"):
            assert path.rpartition("/")[2] in trigger["metadata"]


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_every_object_has_kubernetes_own_fields_and_no_others(version: str) -> None:
    (documents,) = [
        documents
        for name, documents in kubernetes_files(setting(STEERING)).items()
        if name == "base/scaler.yaml"
    ]
    core = [each for each in documents if each["apiVersion"] in CORE]
    for each in core:
        kubernetes_validate.validate(each, version, strict=True)
    assert {"Deployment", "Service", "Role", "RoleBinding", "NetworkPolicy"} <= {
        each["kind"] for each in core
    }


def test_what_is_rendered_with_a_scaler_has_no_trap(tmp_path: Path) -> None:
    of = setting(STEERING)
    for name, text in render_kubernetes(shop, SHOP, of.profile).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    report = lint([tmp_path / "base"])
    assert report.findings == ()


def test_a_scaler_without_certificates_is_refused_by_name() -> None:
    with pytest.raises(ProfileError, match=r"`scaler.client_secret` is missing"):
        setting({"certificates_secret": "scaler-server"})
