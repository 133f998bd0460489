"""Kubernetes' API, as far as scaling in needs it: listing what has a label, and annotating it.

Over urllib3: two verbs on metadata are no reason for a client of the whole API
(https://kubernetes.io/docs/reference/using-api/api-concepts/).
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3

from headrace.pipeline.errors import SettingsError
from headrace.pipeline.settings import ScalerSettings
from headrace.processors.scale_in.errors import ClusterError

_METADATA: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Names, labels and annotations are all that is read, so they are all that is asked for."""
_MERGE: Final = "application/merge-patch+json"
_PAGE: Final = 500
_TIMEOUT: Final = urllib3.Timeout(connect=5.0, read=10.0)
_TRIES: Final = urllib3.Retry(total=2, backoff_factor=0.2, redirect=False, allowed_methods=["GET"])
_REMEDIES: Final = {
    401: "the service account's token is not accepted: is it of this cluster?",
    403: "the service account lacks the right: apply the Role that `headrace deploy render` writes",
    404: "it does not exist: is KEDA installed, and the namespace right?",
}


class Kind(StrEnum):
    """What is listed and annotated, as a path of the API."""

    PODS = "api/v1/namespaces/{namespace}/pods"
    SCALED_OBJECTS = "apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"


@dataclass(frozen=True, slots=True)
class Found:
    """An object's metadata.

    Attributes:
        name: Its name.
        version: By which a change of somebody else's is noticed.
        annotations: Its annotations.
        leaving: Whether it is being deleted.
    """

    name: str
    version: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    leaving: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "Found":
        """Read it from an answer."""
        return cls(
            metadata["name"],
            metadata.get("resourceVersion", ""),
            metadata.get("annotations") or {},
            "deletionTimestamp" in metadata,
        )


class ClusterApi:
    """Asks an API server with a pod's service account. One thread owns it.

    Args:
        url: Of the API server.
        account: A folder with `token` and, for https, `ca.crt`.
        namespace: Where the pipeline's objects are.
    """

    def __init__(self, url: str, account: Path, namespace: str) -> None:
        self._url = url.rstrip("/")
        self._token = account / "token"
        self._namespace = namespace
        authority = account / "ca.crt"
        self._pool = urllib3.PoolManager(
            timeout=_TIMEOUT,
            retries=_TRIES,
            ca_certs=str(authority) if authority.exists() else None,
        )

    @classmethod
    def of(cls, settings: ScalerSettings) -> "ClusterApi":
        """Make it from settings, or from what every pod is given.

        Raises:
            SettingsError: This is no pod, and nothing else is said; or the folder lacks a file.
        """
        account = settings.scaler_kubernetes_account
        namespace = _text(account / "namespace")
        _text(account / "token")
        return cls(settings.scaler_kubernetes_url or _own_cluster(), account, namespace)

    def list(self, kind: Kind, labels: Mapping[str, str]) -> Iterator[Found]:
        """Give what has all the labels.

        Raises:
            ClusterError: Kubernetes gave no answer, or refused.
        """
        asked: dict[str, Any] = {
            "labelSelector": ",".join(f"{name}={value}" for name, value in labels.items()),
            "limit": _PAGE,
        }
        while True:
            answer = self._ask("GET", f"{self._place(kind)}?{urlencode(asked)}", _METADATA)
            yield from (Found.of(item["metadata"]) for item in answer["items"])
            asked["continue"] = answer.get("metadata", {}).get("continue")
            if not asked["continue"]:
                return

    def annotate(self, kind: Kind, found: Found, changes: Mapping[str, str | None]) -> None:
        """Change annotations of an object that nobody else has changed since it was listed.

        Args:
            kind: What it is.
            found: As it was listed.
            changes: By name; None takes one off.

        Raises:
            ClusterError: Kubernetes gave no answer, or refused; also when somebody was faster.
        """
        metadata = {"annotations": changes, "resourceVersion": found.version}
        body = json.dumps({"metadata": metadata}).encode()
        place = f"{self._place(kind)}/{quote(found.name)}"
        self._ask("PATCH", place, "application/json", body)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _place(self, kind: Kind) -> str:
        return f"{self._url}/{kind.value.format(namespace=quote(self._namespace))}"

    def _ask(self, method: str, url: str, accept: str, body: bytes | None = None) -> Any:
        # The token is renewed in its file, every hour or so
        headers = {"Accept": accept, "Authorization": f"Bearer {_text(self._token)}"}
        if body is not None:
            headers["Content-Type"] = _MERGE
        what = f"{method} {url.partition('?')[0]}"
        try:
            answer = self._pool.request(method, url, headers=headers, body=body)
            if answer.status >= 300:
                raise ClusterError(f"{what}: {answer.status}: {_why(answer.status, answer.data)}")
            return json.loads(answer.data)
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"{what}: Kubernetes gives no answer: {error}") from error
        except ValueError as error:
            raise ClusterError(f"{what}: the answer is no JSON: {error}") from error


def _why(status: int, content: bytes) -> str:
    try:
        told = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        told = content[:200].decode(errors="replace")
    remedy = _REMEDIES.get(status)
    return f"{told} ({remedy})" if remedy else told


def _own_cluster() -> str:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST"),
        os.environ.get("KUBERNETES_SERVICE_PORT"),
    )
    if not host:
        raise SettingsError(
            "HEADRACE_SCALER_SCALE_IN=true: this is no pod of a Kubernetes cluster; set it to false, or "
            "HEADRACE_SCALER_KUBERNETES_URL to an API server"
        )
    return f"https://{f'[{host}]' if ':' in host else host}:{port or 443}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"HEADRACE_SCALER_KUBERNETES_ACCOUNT={file.parent}: {file.name} cannot be read "
            f"({error.strerror}); the pod must mount its service account's token"
        ) from error
