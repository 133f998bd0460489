"""A Kubernetes API server, as far as scaling in asks it: real HTTP on loopback, objects in memory."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from headrace.processors.scale_in.cluster_api import ClusterApi

NAMESPACE = "shop-production"
TOKEN = "not-a-secret"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SCALED_OBJECTS = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects"


@dataclass
class FakeCluster:
    """Objects by their paths, and what was changed of them."""

    url: str = ""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    patches: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    """Name and annotations, in order."""
    asked: list[str] = field(default_factory=list)
    refuses: int = 0
    """With this status, whatever is asked."""
    page: int = 500
    raced: bool = False
    """Whether somebody else changes each object just before it is patched."""

    def add(self, place: str, name: str, labels: dict[str, str], **annotations: str) -> None:
        metadata = {
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "resourceVersion": "1",
        }
        self.objects[f"{place}/{name}"] = {"metadata": metadata}

    def annotations(self, place: str, name: str) -> dict[str, str]:
        found: dict[str, str] = self.objects[f"{place}/{name}"]["metadata"]["annotations"]
        return found

    def api(self, folder: Path) -> ClusterApi:
        account = folder / "account"
        account.mkdir(exist_ok=True)
        (account / "token").write_text(TOKEN)
        (account / "namespace").write_text(NAMESPACE)
        return ClusterApi(self.url, account, NAMESPACE)

    def listed(self, place: str, query: dict[str, list[str]]) -> dict[str, Any]:
        wanted = dict(each.split("=") for each in query["labelSelector"][0].split(","))
        found = [
            each
            for path, each in sorted(self.objects.items())
            if path.rpartition("/")[0] == place
            and wanted.items() <= each["metadata"]["labels"].items()
        ]
        start = int(query.get("continue", ["0"])[0])
        more = str(start + self.page) if start + self.page < len(found) else ""
        return {"items": found[start : start + self.page], "metadata": {"continue": more}}

    def patched(self, path: str, body: dict[str, Any]) -> int:
        metadata = self.objects[path]["metadata"]
        version = int(metadata["resourceVersion"]) + self.raced
        if body["metadata"]["resourceVersion"] != str(version):
            return 409
        metadata["resourceVersion"] = str(version + 1)
        changes = body["metadata"]["annotations"]
        self.patches.append((metadata["name"], changes))
        kept = {**metadata["annotations"], **changes}
        metadata["annotations"] = {name: text for name, text in kept.items() if text is not None}
        return 200


@contextmanager
def fake_cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = urlsplit(self.path)
            self._answer(self._status() or 200, cluster.listed(place.path, parse_qs(place.query)))

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "application/merge-patch+json"
            self._answer(self._status() or cluster.patched(self.path, body), {"message": "sorry"})

        def _status(self) -> int:
            cluster.asked.append(f"{self.command} {self.path}")
            known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            return cluster.refuses if known else 401

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content if status < 300 else {"message": "sorry"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cluster.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
