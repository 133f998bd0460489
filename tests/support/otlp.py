"""A collector: takes spans by OTLP over HTTP and writes them down, a JSON object on each line.

`python -m tests.support.otlp FILE` prints its port and serves until it is killed.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Span:
    """One span, as it was received."""

    service: str
    name: str
    kind: str
    trace: str
    span: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    error: str
    events: tuple[tuple[str, dict[str, Any]], ...]
    start: int
    end: int


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    endpoint: str
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to send its spans here soon."""
        return {
            "HEADRACE_TRACES": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }

    def spans(self) -> list[Span]:
        """What has come so far, in order of beginning."""
        text = self.file.read_text("utf-8") if self.file.exists() else ""
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return sorted((_span(json.loads(line)) for line in whole), key=lambda span: span.start)


def _span(found: dict[str, Any]) -> Span:
    links = tuple((each[0], each[1]) for each in found.pop("links"))
    events = tuple((each[0], each[1]) for each in found.pop("events"))
    return Span(**found, links=links, events=events)


@contextmanager
def collector(folder: Path) -> Iterator[Collector]:
    """Run one as a process of its own."""
    file = folder / "spans.jsonl"
    command = [sys.executable, "-m", "tests.support.otlp", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Collector(f"http://127.0.0.1:{port}", file)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def main(file: Path) -> None:
    """Serve."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            lines = [json.dumps(each) + "\n" for each in told(request)]
            with file.open("a", encoding="utf-8") as out:
                out.write("".join(lines))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


def told(request: Any) -> Iterator[dict[str, Any]]:
    """The spans of a request, as JSON can say them."""
    for resource in request.resource_spans:
        service = attributes(resource.resource.attributes).get("service.name", "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "service": service,
                    "name": span.name,
                    "kind": type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "links": [(each.trace_id.hex(), each.span_id.hex()) for each in span.links],
                    "attributes": attributes(span.attributes),
                    "error": span.status.message if span.status.code == 2 else "",
                    "events": [(each.name, attributes(each.attributes)) for each in span.events],
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                }


def attributes(found: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
