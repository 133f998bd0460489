"""A cluster, asked through kubectl."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

PATIENCE = 60
NO_CLUSTER = "say which cluster: KUBECONFIG=/path/to/kubeconfig make test-cluster"
NO_TOOL = "kubectl is missing: install it, or name it with KUBECTL=/path/to/kubectl"


@dataclass(frozen=True)
class Cluster:
    """Whatever cluster KUBECONFIG names.

    Attributes:
        tool: The path of kubectl.
    """

    tool: str

    @classmethod
    def named(cls, environment: Mapping[str, str]) -> "Cluster":
        assert environment.get("KUBECONFIG"), NO_CLUSTER
        tool = shutil.which(environment.get("KUBECTL", "kubectl"))
        assert tool, NO_TOOL
        return cls(tool)

    def run(self, *words: str, given: str = "", check: bool = True) -> str:
        """Run a command; gives what it prints, on either channel if it fails."""
        done = subprocess.run(
            [self.tool, *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def learn(self, folder: Path) -> None:
        """Make the kinds that a folder defines known."""
        self.run("apply", "--server-side", "--filename", str(folder))
        self.run("wait", "--for=condition=Established", "crd", "--all", f"--timeout={PATIENCE}s")

    @cached_property
    def kinds(self) -> frozenset[str]:
        """What the API server knows, as `apiVersion/kind`."""
        lines = self.run("api-resources", "--no-headers").splitlines()
        # The short names between are often missing, so the version is counted from the end
        parts = [line.split() for line in lines]
        return frozenset(f"{part[-3]}/{part[-1]}" for part in parts)

    def knows(self, manifest: Mapping[str, Any]) -> bool:
        return f"{manifest['apiVersion']}/{manifest['kind']}" in self.kinds

    def kustomized(self, folder: Path) -> list[dict[str, Any]]:
        """What a kustomization makes."""
        return list(yaml.load_all(self.run("kustomize", str(folder)), yaml.CSafeLoader))

    def apply(self, manifests: Iterable[Mapping[str, Any]], *options: str) -> str:
        """Apply manifests; gives what the API server said of them, warnings too."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        done = subprocess.run(
            [self.tool, "apply", "--validate=strict", *options, "--filename", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def get(self, namespace: str, *names: str) -> dict[str, Any]:
        """Give objects of a namespace by their kinds; those that are not there are left out."""
        words = ("get", *names, "--namespace", namespace, "--output", "json", "--ignore-not-found")
        text = self.run(*words)
        found = json.loads(text) if text.strip() else {"items": []}
        return {each["kind"]: each for each in found.get("items", [found])}

    @contextmanager
    def applied(self, manifests: list[dict[str, Any]], namespace: str) -> Iterator[None]:
        """Have manifests on the cluster for the length of the block, and nothing of them after it."""
        try:
            self.apply(manifests)
            yield
        finally:
            everywhere = [each for each in manifests if "namespace" not in each["metadata"]]
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": everywhere})
            self.run("delete", "scaledobjects", "--all", "--namespace", namespace, check=False)
            words = ("delete", "--ignore-not-found", "--wait=false", "--filename", "-")
            self.run(*words, given=text, check=False)

    def watched(self, namespace: str, name: str) -> "subprocess.Popen[str]":
        """Begin to follow how many pods a Deployment should have: a line for each change."""
        words = ("get", "deployment", name, "--namespace", namespace, "--watch")
        form = "jsonpath={.spec.replicas}{'\\n'}"
        return subprocess.Popen(
            [self.tool, *words, "--output", form],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(os.environ),
        )
