"""The same audit without Headrace: one loop, in one process, counting for itself.

Only `measure` is shared with the jobs. What a file's result is digested to is said here again, so
that a slip in either place shows.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from examples.source_audit.compare import Audit
from examples.source_audit.measure import Measurement, UnparsableError, measure


def audit_plainly(
    directory: Path, limit: int | None = None, progress: Callable[[int], object] | None = None
) -> Audit:
    """Measure every file in a loop.

    Args:
        directory: Where the files are.
        limit: Only the first so many, by path.
        progress: Told after each file how many are done.
    """
    digests: dict[str, str] = {}
    errors: dict[str, str] = {}
    totals: Counter[str] = Counter()
    for done, path in enumerate(sorted(python_files(directory))[:limit], start=1):
        try:
            found = measure((directory / path).read_bytes())
        except UnparsableError as error:
            errors[path] = f"{type(error.__cause__).__name__}: {error}"
        except OSError as error:
            errors[path] = f"{type(error).__name__}: {error}"
        else:
            digests[path] = digest_of(found)
            for name in ("lines", "code_lines", "functions", "classes", "branches"):
                totals[name] += getattr(found, name)
        if progress is not None:
            progress(done)
    return Audit(len(digests) + len(errors), digests, errors, dict(totals))


def python_files(directory: Path) -> Iterator[str]:
    """Give the paths of all `.py` files below a directory, without installed packages."""
    for folder, inner, names in os.walk(directory):
        inner[:] = [name for name in inner if name not in ("site-packages", "dist-packages")]
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py") and path.is_file():
                yield path.relative_to(directory).as_posix()


def digest_of(found: Measurement) -> str:
    """SHA-256, in hex, of the fields as JSON with sorted keys and no spaces."""
    text = json.dumps(asdict(found), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
