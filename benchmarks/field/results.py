"""Results on disk: each run of each workload of each system is a JSON of its own.

So a benchmark that was broken off goes on where it was, and a run can be done again by removing
its file. A run of which something failed lies there as `run-N.failed`, as JSON too: what was
measured of it counts, and the next call makes it again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The folder of one benchmark: WORKLOAD/SYSTEM/RUN.json, machine.json, systems/SYSTEM.json."""

    folder: Path

    def path(self, workload: str, system: str, run: int) -> Path:
        """Where a run's result is."""
        return self.folder / workload / system / f"run-{run}.json"

    def has(self, workload: str, system: str, run: int) -> bool:
        """Whether it was made."""
        return self.path(workload, system, run).exists()

    def write(self, workload: str, system: str, run: int, content: Document) -> None:
        """Keep a run's result; whole, or not at all."""
        path = self.path(workload, system, run)
        self.write_file(path, content)
        path.with_suffix(".failed").unlink(missing_ok=True)

    def write_failed(self, workload: str, system: str, run: int, content: Document) -> None:
        """Keep what there is of a run that failed, with the reasons."""
        self.write_file(self.path(workload, system, run).with_suffix(".failed"), content)

    def write_file(self, path: Path, content: Document) -> None:
        """Write beside, then rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
        beside.replace(path)

    def runs(self, workload: str, system: str) -> list[Document]:
        """Give all results of a workload of a system, those that failed in part at the end."""
        folder = self.folder / workload / system
        found = [*sorted(folder.glob("run-*.json")), *sorted(folder.glob("run-*.failed"))]
        return [json.loads(path.read_text()) for path in found]

    def workloads(self) -> list[str]:
        """Name those that have results."""
        return sorted(path.name for path in self.folder.glob("*-*") if path.is_dir())

    def systems(self, workload: str) -> Iterator[str]:
        """Name the systems that have results of a workload."""
        folder = self.folder / workload
        return (path.name for path in sorted(folder.iterdir()) if path.is_dir())

    def about(self, what: str) -> Document:
        """Read `machine`, or `systems/NAME`; empty when it was not written."""
        path = self.folder / f"{what}.json"
        found: Document = json.loads(path.read_text()) if path.exists() else {}
        return found
