"""The lint: each trap is found where it is, what is rendered has none, and what is no manifest is named."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from headrace.console.commands.deploy import app
from headrace.deploy.lint import LintReport, lint

ROOT = Path(__file__).parents[2]


def scaled(name: str = "orders", **changes: Any) -> dict[str, Any]:
    """One that has no trap, with changes by their dotted place; None leaves a field out."""
    made: dict[str, Any] = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": name},
            "maxReplicaCount": 12,
            "fallback": {
                "failureThreshold": 3,
                "replicas": 1,
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleUp": {"tolerance": "0"},
                        "scaleDown": {
                            "stabilizationWindowSeconds": 600,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                        },
                    }
                }
            },
            "triggers": [
                {
                    "type": "kafka",
                    "metadata": {
                        "bootstrapServers": "kafka:9092",
                        "consumerGroup": name,
                        "topic": name,
                        "lagThreshold": "600",
                        "offsetResetPolicy": "earliest",
                        "ensureEvenDistributionOfPartitions": "true",
                    },
                }
            ],
        },
    }
    for place, value in changes.items():
        change(made, place.split("__"), value)
    return made


def change(content: Any, place: list[str], value: Any) -> None:
    for part in place[:-1]:
        content = content[int(part)] if part.isdigit() else content[part]
    if value is None:
        del content[place[-1]]
    else:
        content[place[-1]] = value


def trigger(**parameters: Any) -> dict[str, Any]:
    return scaled(**{f"spec__triggers__0__metadata__{key}": v for key, v in parameters.items()})


def looked(folder: Path, *objects: dict[str, Any]) -> LintReport:
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return lint([file])


def rules(report: LintReport) -> list[str]:
    return [finding.rule for finding in report.findings]


def deployment(grace: int | None = 155, drain: str = "2m", **spec: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "containers": [
            {
                "name": "worker",
                "env": [{"name": "HEADRACE_WORKER_DRAIN_BUDGET", "value": drain}] if drain else [],
                "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
            }
        ]
    }
    if grace is not None:
        pod["terminationGracePeriodSeconds"] = grace
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders"},
        "spec": {"template": {"spec": pod}, **spec},
    }


def topic(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": "orders"},
        "spec": {"partitions": 12, **spec},
    }


def autoscaler() -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orders"},
        "spec": {"scaleTargetRef": {"name": "orders"}},
    }


SECOND = {"type": "kafka", "metadata": trigger()["spec"]["triggers"][0]["metadata"]}
TRAPS: dict[str, list[dict[str, Any]]] = {
    "unknown-parameter": [trigger(lagTreshold="5")],
    "secret-in-trigger": [trigger(password="hunter2")],
    "not-a-text": [trigger(lagThreshold=600)],
    "bad-value": [trigger(lagThreshold="0")],
    "missing-parameter": [trigger(bootstrapServers=None)],
    "no-topic": [trigger(topic=None)],
    "scales-on-what-waits": [trigger(topic="shop.delay.5m")],
    "refused-together": [trigger(limitToPartitionsWithLag="true")],
    "reset-to-latest": [trigger(offsetResetPolicy=None)],
    "lost-offsets-are-nothing": [trigger(scaleToZeroOnInvalidOffset="true")],
    "threshold-by-default": [trigger(lagThreshold=None)],
    "flapping": [trigger(excludePersistentLag="true")],
    "idle-pods": [trigger(allowIdleConsumers="true")],
    "unchecked-certificate": [trigger(unsafeSsl="true")],
    "name-too-long": [scaled("o" * 55)],
    "unknown-field": [scaled(spec__pollInterval=5)],
    "paused": [scaled(metadata__annotations={"autoscaling.keda.sh/paused-scale-in": "true"})],
    "no-maximum": [scaled(spec__maxReplicaCount=None)],
    "minimum-over-maximum": [scaled(spec__minReplicaCount=13)],
    "no-fallback": [scaled(spec__fallback=None)],
    "static-fallback": [scaled(spec__fallback={"failureThreshold": 3, "replicas": 1})],
    "never-the-last-pod": [
        scaled(spec__advanced__horizontalPodAutoscalerConfig__behavior__scaleUp={})
    ],
    "hasty-scale-in": [
        scaled(spec__advanced__horizontalPodAutoscalerConfig__behavior__scaleDown=None)
    ],
    "several-triggers": [scaled(spec__triggers=[SECOND, SECOND])],
    "shared-group": [
        scaled(),
        scaled("others", spec__triggers__0__metadata__consumerGroup="orders"),
    ],
    "shared-target": [scaled(), scaled("others", spec__scaleTargetRef={"name": "orders"})],
    "two-masters": [scaled(), deployment(replicas=3)],
    "killed-while-draining": [scaled(), deployment(grace=154)],
    "killed-while-busy": [scaled(), deployment(grace=None, drain="")],
    "more-pods-than-partitions": [scaled(), topic(partitions=6)],
    "few-divisors": [scaled(spec__maxReplicaCount=7), topic(partitions=7)],
    "compacted-lag": [scaled(), topic(config={"cleanup.policy": "compact,delete"})],
}


@pytest.mark.parametrize("rule", TRAPS)
def test_each_trap_is_found_alone_with_its_reason_and_remedy(tmp_path: Path, rule: str) -> None:
    report = looked(tmp_path, *TRAPS[rule])
    found = [each for each in report.findings if each.rule == rule]
    assert found, rules(report)
    assert set(rules(report)) <= {rule, "never-the-last-pod"}
    assert all(each.why and each.remedy and each.thing for each in found)


def test_without_a_trap_nothing_is_found(tmp_path: Path) -> None:
    assert looked(tmp_path, scaled(), deployment(), topic()).findings == ()


def test_an_autoscaler_beside_kedas_own_is_found(tmp_path: Path) -> None:
    assert rules(looked(tmp_path, scaled(), autoscaler())) == ["two-masters"]


def test_persistent_lag_may_be_left_out_with_cached_metrics(tmp_path: Path) -> None:
    good = trigger(excludePersistentLag="true")
    good["spec"]["triggers"][0]["useCachedMetrics"] = True
    assert looked(tmp_path, good).findings == ()


def test_a_misspelt_parameter_is_told_with_the_one_that_is_meant(tmp_path: Path) -> None:
    [finding] = looked(tmp_path, trigger(lagTreshold="5")).findings
    assert finding.place == "spec.triggers[0].metadata.lagTreshold"
    assert finding.remedy == "write `lagThreshold`"


def test_objects_refer_to_each_other_across_files_and_lists(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(scaled()))
    items = {"apiVersion": "v1", "kind": "List", "items": [topic(partitions=3)]}
    (tmp_path / "b.yml").write_text(yaml.safe_dump(items))
    assert rules(lint([tmp_path])) == ["more-pods-than-partitions"]


def test_the_same_names_in_two_namespaces_are_two_things(tmp_path: Path) -> None:
    def placed(namespace: str, **changes: Any) -> list[dict[str, Any]]:
        objects = [scaled(**changes), deployment()]
        for each in objects:
            each["metadata"]["namespace"] = namespace
        return objects

    servers = {"spec__triggers__0__metadata__bootstrapServers": "other:9092"}
    assert rules(looked(tmp_path, *placed("dev", **servers), *placed("live"))) == []
    # One group on one Kafka has one lag, whoever else looks at it
    assert rules(looked(tmp_path, *placed("dev"), *placed("live"))) == ["shared-group"]
    replicated = deployment(replicas=3)
    replicated["metadata"]["namespace"] = "elsewhere"
    assert rules(looked(tmp_path, *placed("live"), replicated)) == []


def test_what_is_scaled_by_something_else_is_left_alone(tmp_path: Path) -> None:
    cron = scaled(spec__triggers=[{"type": "cron", "metadata": {"timezone": "UTC"}}])
    report = looked(tmp_path, cron)
    assert (report.scaled, report.findings) == (0, ())


def external(kind: str = "external-push", **changes: Any) -> dict[str, Any]:
    """A trigger for our scaler that has no trap, with changes; None leaves a parameter out."""
    metadata = {
        "scalerAddress": "shop-scaler.shop:6000",
        "enableTLS": "true",
        "pipeline": "shop",
        "lane": "shop.default.high",
        "target": "600",
        **changes,
    }
    given = {name: value for name, value in metadata.items() if value is not None}
    return {"type": kind, "metadata": given, "authenticationRef": {"name": "shop-scaler"}}


def asked(folder: Path, *triggers: dict[str, Any], **spec: Any) -> list[str]:
    return rules(looked(folder, scaled(spec__triggers=list(triggers), **spec)))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, None),
        ({"kind": "external"}, "not-pushed"),
        ({"scalerAddress": None}, "missing-parameter"),
        ({"scalerAddress": "shop-scaler"}, "no-port"),
        ({"enableTLS": None}, "plain-text-without-secret"),
        ({"enableTLS": "yes"}, "bad-value"),
        ({"unsafeSsl": "true"}, "unchecked-certificate"),
        ({"target": 600}, "not-a-text"),
        ({"tlsClientKey": "MII"}, "secret-in-trigger"),
        ({"target": None}, "scaler-refuses"),
        ({"lane": None}, "scaler-refuses"),
        ({"startTimes": "30"}, "scaler-refuses"),
        ({"lane": "orders.default.high"}, "not-a-lane"),
    ],
)
def test_a_trigger_for_the_external_scaler_is_read_as_the_scaler_reads_it(
    tmp_path: Path, changes: dict[str, Any], rule: str | None
) -> None:
    found = asked(tmp_path, external(**changes))
    assert rule in found if rule else not found


def test_the_external_scaler_takes_nobody_without_a_certificate(tmp_path: Path) -> None:
    bare = external()
    del bare["authenticationRef"]
    assert asked(tmp_path, bare) == ["no-certificate"]
    near = external(scalerAddress="localhost:6000", enableTLS=None)
    del near["authenticationRef"]
    assert asked(tmp_path, near) == []


def test_what_scales_by_the_external_scaler_is_looked_through_as_a_whole(tmp_path: Path) -> None:
    assert asked(tmp_path, external(), spec__fallback=None) == ["no-fallback"]
    assert asked(tmp_path, external(), external()) == ["several-triggers"]
    mine = scaled(spec__triggers=[external()])
    assert "killed-while-draining" in rules(looked(tmp_path, mine, deployment(grace=30)))


def test_of_somebody_elses_scaler_only_the_way_to_it_is_looked_at(tmp_path: Path) -> None:
    theirs = {"type": "external", "metadata": {"scalerAddress": "it.there:9090", "colour": "red"}}
    report = looked(tmp_path, scaled(spec__triggers=[theirs], spec__fallback=None))
    assert (report.scaled, rules(report)) == (0, ["plain-text"])


@pytest.mark.parametrize("folder", ["kubernetes/base", "strimzi"])
def test_what_is_rendered_has_no_trap(folder: str) -> None:
    report = lint([ROOT / "deploy/manifests" / folder])
    assert report.findings == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [1, 2", "is not YAML: while parsing a flow sequence"),
        ("name: {{ .Values.name }}\nx: }", "render a Helm chart with `helm template` first"),
        ("services: {}\n", "it has no apiVersion and kind (a Compose file?)"),
        ("groups: []\n", "(a file of Prometheus rules?)"),
        ("- a\n- b\n", "is no Kubernetes object: it has a list"),
        ("just words", "it has a str"),
        ("", "is empty: it holds no manifest"),
        ("\x00\x01", "is not YAML"),
    ],
)
def test_what_is_no_manifest_is_named_and_the_others_are_looked_through(
    tmp_path: Path, content: str, told: str
) -> None:
    (tmp_path / "a.yaml").write_text(content)
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(scaled(spec__maxReplicaCount=None)))
    first, *others = lint([tmp_path]).findings
    assert (first.rule, first.severity) == ("not-a-manifest", "error")
    assert f"{tmp_path / 'a.yaml'}" in first.why
    assert told in first.why
    assert [each.rule for each in others] == ["no-maximum"]


@pytest.mark.parametrize("spec", [None, [], "x", {"triggers": "x"}, {"triggers": [3]}])
def test_an_odd_shape_is_no_crash(tmp_path: Path, spec: Any) -> None:
    odd = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": spec}
    assert looked(tmp_path, odd).scaled == 0


def test_the_command_ends_with_1_for_errors_and_0_for_warnings(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"

    def run(content: dict[str, Any], *options: str) -> tuple[int, str]:
        file.write_text(yaml.safe_dump(content))
        done = CliRunner().invoke(app, ["lint", str(file), *options])
        return done.exit_code, done.stdout

    code, text = run(trigger(lagTreshold="5"))
    assert code == 1
    assert "instead: write `lagThreshold` (unknown-parameter)" in text
    code, text = run(scaled(spec__maxReplicaCount=None), "--json")
    assert code == 0
    assert [each["rule"] for each in json.loads(text)["findings"]] == ["no-maximum"]
