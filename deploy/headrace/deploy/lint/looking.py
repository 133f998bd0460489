"""The lint as a whole: read everything, then look, since objects refer to each other across files."""

from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.lint.findings import Finding, Severity
from headrace.deploy.lint.objects import (
    KubernetesObject,
    NotAManifestError,
    files_of,
    read_objects,
)
from headrace.deploy.lint.scaled import check_groups, check_scaled, scales_on_kafka
from headrace.deploy.lint.workloads import Workloads

_LOOKED_AT = "ScaledObject"
_NOT_APPLIED = ("Kustomization",)


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was looked at, and what was found.

    Attributes:
        files: The files that were read.
        scaled: How many ScaledObjects they hold that scale on what lies in Kafka.
        findings: The traps; errors first, then by file.
    """

    files: tuple[str, ...]
    scaled: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(each.severity is Severity.ERROR for each in self.findings)


def lint(places: list[Path]) -> LintReport:
    """Look through manifests.

    A file that holds no manifests is a finding, and the others are looked through all the same.

    Args:
        places: Files, and folders with .yaml and .yml files.

    Raises:
        DeployError: A file cannot be read, or a folder holds none.
        YamlMissingError: PyYAML is not installed.
    """
    files, objects, findings = [], list[KubernetesObject](), list[Finding]()
    for file in files_of(places):
        files.append(str(file))
        try:
            objects += read_objects(file)
        except NotAManifestError as error:
            findings.append(_not_a_manifest(file, error))
    seen = [each for each in objects if each.kind == _LOOKED_AT]
    others = [each for each in objects if each.kind not in (_LOOKED_AT, *_NOT_APPLIED)]
    for each in seen:
        findings += check_scaled(each)
    scaled = [each for each in seen if scales_on_kafka(each)]
    findings += check_groups(scaled)
    findings += Workloads(scaled, others).check()
    findings.sort(key=lambda each: (each.severity is not Severity.ERROR, each.file))
    return LintReport(tuple(files), len(scaled), tuple(findings))


def _not_a_manifest(file: Path, error: NotAManifestError) -> Finding:
    return Finding(
        Severity.ERROR,
        "not-a-manifest",
        str(file),
        "",
        "",
        str(error),
        "give files of Kubernetes objects",
    )
