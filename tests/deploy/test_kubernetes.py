"""The Kubernetes manifests: what the declaration and the profile decide, and what is always so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from examples.shop.jobs import shop
from headrace.console.commands.deploy import app
from headrace.deploy.errors import DeployError
from headrace.deploy.kubernetes import kubernetes_files
from headrace.deploy.kubernetes.setting import Setting
from headrace.deploy.profile import profile_of, read_profile
from headrace.deploy.refusals import refuse
from headrace.deploy.rendering import render_kubernetes
from headrace.pipeline import settings
from headrace.pipeline.durations import parse_duration

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "deploy/profile.toml"
MANIFESTS = ROOT / "deploy/manifests"
SHOP = "examples.shop.jobs:shop"


@pytest.fixture(scope="module")
def files() -> dict[str, list[Any]]:
    texts = render_kubernetes(shop, SHOP, read_profile(PROFILE))
    return {name: list(yaml.load_all(text, yaml.CSafeLoader)) for name, text in texts.items()}


def objects(files: dict[str, list[Any]], kind: str) -> dict[str, Any]:
    return {
        each["metadata"]["name"]: each
        for name, documents in files.items()
        for each in documents
        if each["kind"] == kind and name.startswith("base/")
    }


def rendered(**profile: Any) -> dict[str, list[Any]]:
    """As `files`, by a profile of the test's own; as values, since writing YAML takes a while."""
    given = {"image": "shop:1", "kafka": {"bootstrap_servers": "kafka:9092"}, **profile}
    return kubernetes_files(Setting(shop, SHOP, profile_of(given, "test")))


def pods(files: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    for kind in ("Deployment", "Job"):
        for name, each in objects(files, kind).items():
            yield name, each["spec"]["template"]["spec"]


LANES = {lane.topic: lane.topic.replace(".", "-") for lane in shop.topology.lanes()}


@pytest.mark.parametrize("target", ["kubernetes", "strimzi"])
def test_the_committed_folder_is_as_rendered(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["render", "--target", target, SHOP, "--check"])
    assert done.exit_code == 0, done.output


def test_a_folder_that_was_edited_by_hand_fails_the_check_and_what_is_rendered_no_more_is_deleted(
    tmp_path: Path,
) -> None:
    def render(*options: str) -> Any:
        words = ["render", "--target", "strimzi", SHOP, "--profile", str(PROFILE)]
        return CliRunner().invoke(app, [*words, "--output", str(tmp_path), *options])

    assert render().exit_code == 0
    (tmp_path / "old.yaml").write_text((tmp_path / "users.yaml").read_text())
    (tmp_path / "mine.yaml").write_text("kind: Mine\n")
    edited = (tmp_path / "topics.yaml").read_text().replace("partitions: 12", "partitions: 13", 1)
    (tmp_path / "topics.yaml").write_text(edited)
    failed = render("--check")
    assert isinstance(failed.exception, DeployError)
    assert "-  partitions: 13" in failed.stdout
    assert "old.yaml is not rendered any more" in failed.stdout
    assert render().exit_code == 0
    assert render("--check").exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} >= {"mine.yaml", "users.yaml"}
    assert not (tmp_path / "old.yaml").exists()


def test_each_lane_has_a_deployment_a_scaled_object_and_a_disruption_budget(
    files: dict[str, list[Any]],
) -> None:
    for kind in ("ScaledObject", "PodDisruptionBudget", "Deployment", "VerticalPodAutoscaler"):
        assert objects(files, kind).keys() >= set(LANES.values()), kind


def test_a_lane_is_scaled_by_the_lag_of_its_own_group_in_its_own_topic(
    files: dict[str, list[Any]],
) -> None:
    for topic, name in LANES.items():
        [trigger] = objects(files, "ScaledObject")[name]["spec"]["triggers"]
        assert trigger["metadata"]["topic"] == trigger["metadata"]["consumerGroup"] == topic
        assert trigger["metadata"]["offsetResetPolicy"] == "earliest"
        arguments = dict(pods(files))[name]["containers"][0]["args"]
        assert arguments == [
            "worker",
            "--queue",
            topic.split(".")[1],
            "--priority",
            topic.split(".")[2],
        ]


def test_nothing_but_keda_says_how_many_workers_there_are(files: dict[str, list[Any]]) -> None:
    deployments = objects(files, "Deployment")
    assert all("replicas" not in deployments[name]["spec"] for name in LANES.values())
    assert deployments["shop-scheduler"]["spec"]["replicas"] == 2


def test_urgent_lanes_keep_a_pod_and_low_ones_none() -> None:
    scaled = objects(rendered(), "ScaledObject")
    least = {name: each["spec"]["minReplicaCount"] for name, each in scaled.items()}
    assert least["shop-default-high"] == least["shop-payments-high"] == 1
    assert least["shop-default-low"] == least["shop-media-low"] == 0


def test_a_lane_has_no_more_pods_than_partitions_and_its_threshold_is_what_a_pod_does_in_the_wait() -> (
    None
):
    lanes = {"default.high": {"jobs_per_second": 7.5, "wait": "20s"}}
    files = rendered(topics={"partitions": 24}, lanes=lanes)
    spec = objects(files, "ScaledObject")["shop-default-high"]["spec"]
    assert spec["maxReplicaCount"] == 24
    assert spec["triggers"][0]["metadata"]["lagThreshold"] == "150"
    assert spec["fallback"]["behavior"] == "currentReplicasIfHigher"


def test_a_pod_is_killed_only_after_its_longest_job_and_what_a_stop_takes_besides(
    files: dict[str, list[Any]],
) -> None:
    for name, longest in {"shop-media-low": 120, "shop-payments-high": 45}.items():
        pod = dict(pods(files))[name]
        [container] = pod["containers"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        drain = parse_duration(variables["HEADRACE_WORKER_DRAIN_BUDGET"]).total_seconds()
        assert drain == longest
        before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod["terminationGracePeriodSeconds"] == before + drain + 30


def test_no_pod_has_rights_a_token_or_a_disk_to_write_to(files: dict[str, list[Any]]) -> None:
    for name, pod in pods(files):
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert container["resources"].keys() == {"requests", "limits"}


def test_everything_is_asked_for_life_and_readiness_on_its_own_port(
    files: dict[str, list[Any]],
) -> None:
    port = objects(files, "ConfigMap")["shop-settings"]["data"]["HEADRACE_HTTP_PORT"]
    for name in objects(files, "Deployment"):
        [container] = dict(pods(files))[name]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
        assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
        assert str(container["ports"][0]["containerPort"]) == port


def test_only_low_lanes_go_to_nodes_that_leave_at_short_notice(files: dict[str, list[Any]]) -> None:
    tolerant = {name for name, pod in pods(files) if "tolerations" in pod}
    assert tolerant == {"shop-default-low", "shop-media-low"}


def test_every_settings_variable_is_one_that_headrace_knows(
    files: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict(objects(files, "ConfigMap")["shop-settings"]["data"])
    for _, pod in pods(files):
        given |= {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}
    assert settings.unknown_variables(given) == []
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert settings.load(settings.TopicSettings).topic_replication == 3
    assert settings.load(settings.KafkaSettings).security_protocol == "ssl"
    settings.load(settings.WorkerSettings)
    settings.load(settings.HttpSettings)


def test_pods_may_reach_kafka_and_names_and_handlers_what_the_profile_says(
    files: dict[str, list[Any]],
) -> None:
    policies = objects(files, "NetworkPolicy")
    assert "egress" not in policies["shop-closed"]["spec"]
    assert policies["shop-closed"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    places = policies["shop-kafka"]["spec"]["egress"]
    assert [each["ports"][0]["port"] for each in places] == [53, 9093]
    assert (
        policies["shop-handlers"]["spec"]["podSelector"]["matchLabels"][
            "app.kubernetes.io/component"
        ]
        == "worker"
    )
    assert "shop-handlers" not in objects(rendered(), "NetworkPolicy")


def test_the_quota_lets_every_lane_have_all_its_pods_and_one_more_while_it_is_updated() -> None:
    files = rendered(topics={"partitions": 5}, statistics=False)
    hard = objects(files, "ResourceQuota")["shop"]["spec"]["hard"]
    lanes, schedulers, exporters, jobs = 6 * (5 + 1), 2 + 1, 1 + 1, 1
    assert hard["pods"] == str(lanes + schedulers + exporters + jobs)


def test_every_file_of_the_base_is_a_resource_of_it_and_every_overlay_patches_what_is_there(
    files: dict[str, list[Any]],
) -> None:
    [base] = files["base/kustomization.yaml"]
    assert {f"base/{name}" for name in base["resources"]} | {"base/kustomization.yaml"} == {
        name for name in files if name.startswith("base/")
    }
    for environment in ("dev", "staging", "production"):
        [overlay] = files[f"overlays/{environment}/kustomization.yaml"]
        assert overlay["namespace"] == f"shop-{environment}"
        for patch in overlay.get("patches", ()):
            there = objects(files, patch["target"]["kind"])
            assert patch["target"].get("name", next(iter(there))) in there


def test_the_environments_of_the_example_have_a_kafka_each(files: dict[str, list[Any]]) -> None:
    """Topics and groups are named by the pipeline alone."""
    servers = [objects(files, "ConfigMap")["shop-settings"]["data"]["HEADRACE_BOOTSTRAP_SERVERS"]]
    for environment in ("dev", "staging"):
        [overlay] = files[f"overlays/{environment}/kustomization.yaml"]
        settings, triggers = (
            [
                patch
                for patch in overlay["patches"]
                if "ootstrap" in patch["patch"] and kind in patch["target"]["kind"]
            ]
            for kind in ("ConfigMap", "ScaledObject")
        )
        [server] = {yaml.safe_load(each["patch"])[0]["value"] for each in (*settings, *triggers)}
        servers.append(server)
    assert len(set(servers)) == 3


@pytest.mark.parametrize(
    ("security", "keys"),
    [("scram", {"password"}), ("mutual-tls", {"user.crt", "user.key"})],
)
def test_pods_and_keda_prove_themselves_with_secrets_of_their_own(
    security: str, keys: set[str]
) -> None:
    kafka = {"bootstrap_servers": "kafka:9093", "security": security, "ca_secret": "ca"}
    files = rendered(kafka=kafka)
    for name, role in {"shop-default-low": "worker", "shop-exporter": "exporter"}.items():
        secrets = [volume.get("secret", {}) for volume in dict(pods(files))[name]["volumes"]]
        [own] = [each for each in secrets if each.get("secretName") == f"shop-{role}"]
        assert {item["key"] for item in own["items"]} == keys
    [authentication] = objects(files, "TriggerAuthentication").values()
    asked = {each["key"] for each in authentication["spec"]["secretTargetRef"]}
    assert asked == {*keys, "ca.crt"}
    [trigger] = objects(files, "ScaledObject")["shop-default-low"]["spec"]["triggers"]
    assert trigger["authenticationRef"]["name"] == authentication["metadata"]["name"]


def test_without_proof_there_is_no_trigger_authentication() -> None:
    assert not objects(rendered(), "TriggerAuthentication")


def test_no_secret_of_the_environment_gets_into_the_files(
    files: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Setting(shop, SHOP, read_profile(PROFILE))
    monkeypatch.setenv("HEADRACE_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("HEADRACE_STORE_URL", "postgresql://me:hunter2@store/x")
    monkeypatch.setenv("HEADRACE_TOPIC_PARTITIONS", "99")
    assert kubernetes_files(setting) == files
    assert "Secret" not in {each["kind"] for documents in files.values() for each in documents}


def test_the_setting_counts_the_timeouts_of_the_lanes_own_queue_alone() -> None:
    profile = profile_of({"image": "x", "kafka": {"bootstrap_servers": "k"}}, "test")
    setting = Setting(shop, SHOP, profile)
    longest = {
        lane.topic: setting.longest_timeout(lane).total_seconds() for lane in shop.topology.lanes()
    }
    assert longest["shop.default.low"] == 30
    assert longest["shop.media.normal"] == 120


@pytest.mark.parametrize(
    ("image", "tag", "chosen"),
    [
        ("host:5000/shop:1", None, [{"name": "host:5000/shop", "newTag": "1"}]),
        ("host:5000/shop", "2", [{"name": "host:5000/shop", "newTag": "2"}]),
        ("host:5000/shop", None, None),
        ("shop@sha256:abc", "2", None),
    ],
)
def test_an_overlay_chooses_the_images_tag_unless_a_digest_says_which(
    image: str, tag: str | None, chosen: Any
) -> None:
    environment = {"tag": tag} if tag else {}
    [overlay] = rendered(image=image, environments={"dev": environment})[
        "overlays/dev/kustomization.yaml"
    ]
    assert overlay.get("images") == chosen


def test_another_kafka_of_an_environment_reaches_the_settings_and_the_triggers() -> None:
    environments = {"dev": {"bootstrap_servers": "dev:9092", "max_replicas": 99}}
    [overlay] = rendered(environments=environments)["overlays/dev/kustomization.yaml"]
    changes = {
        (patch["target"]["kind"], change["path"]): change["value"]
        for patch in overlay["patches"]
        for change in yaml.safe_load(patch["patch"])
    }
    assert changes == {
        ("ConfigMap", "/data/HEADRACE_BOOTSTRAP_SERVERS"): "dev:9092",
        ("ScaledObject", "/spec/triggers/0/metadata/bootstrapServers"): "dev:9092",
    }


def test_an_environment_that_keeps_more_pods_keeps_them_too_when_the_metric_cannot_be_had() -> None:
    environments = {"live": {"min_replicas": 3}}
    [overlay] = rendered(environments=environments)["overlays/live/kustomization.yaml"]
    [patch] = [each for each in overlay["patches"] if "media-low" in each["target"]["name"]]
    changes = {each["path"]: each["value"] for each in yaml.safe_load(patch["patch"])}
    assert changes == {
        "/spec/minReplicaCount": 3,
        "/spec/maxReplicaCount": 12,
        "/spec/fallback/replicas": 3,
    }


def test_the_profile_for_a_cluster_on_ones_own_machine_can_be_deployed() -> None:
    setting = Setting(shop, SHOP, read_profile(ROOT / "deploy/kind/profile.toml"))
    refuse(setting)
    kinds = {each["kind"] for some in kubernetes_files(setting).values() for each in some}
    absent = {"PodMonitor", "PrometheusRule", "VerticalPodAutoscaler", "TriggerAuthentication"}
    assert not absent & kinds


def test_where_prometheus_operator_runs_it_gets_the_alerts_of_the_file_of_rules(
    files: dict[str, list[Any]],
) -> None:
    [rule] = objects(files, "PrometheusRule").values()
    committed = yaml.safe_load((ROOT / "deploy/alerts/headrace.rules.yml").read_text())
    assert rule["spec"] == committed
    without = rendered(pod_monitor=False)
    assert "base/monitoring.yaml" not in without
    assert not objects(without, "PrometheusRule")
