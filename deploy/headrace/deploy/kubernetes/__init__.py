"""Kubernetes manifests from a declaration and a profile."""

from headrace.deploy.kubernetes.files import kubernetes_files

__all__ = ["kubernetes_files"]
