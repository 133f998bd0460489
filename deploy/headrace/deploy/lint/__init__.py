"""Anyone's manifests, looked through for what makes Kafka consumers scale wrongly on KEDA."""

from headrace.deploy.lint.findings import Finding, Severity
from headrace.deploy.lint.looking import LintReport, lint

__all__ = ["Finding", "LintReport", "Severity", "lint"]
