"""Whether two audits of the same files came to the same end."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SHOWN = 10
"""Files named for each kind of difference."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What came out, by whichever way.

    Attributes:
        files: How many there were.
        digests: Of the result of each measured file, by its path.
        errors: Why a file could not be measured, as `SyntaxError: …`, by its path.
        totals: Sums over the measured files: `lines`, `code_lines`, `functions`,
            `classes`, `branches`.
    """

    files: int
    digests: Mapping[str, str]
    errors: Mapping[str, str]
    totals: Mapping[str, int]

    @property
    def digest(self) -> str:
        """One digest of everything: SHA-256 over `path<tab>digest or error` lines, sorted."""
        rows = sorted((*self.digests.items(), *self.errors.items()))
        text = "".join(f"{path}\t{outcome}\n" for path, outcome in rows)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def errors_by_kind(self) -> Mapping[str, int]:
        """How many files failed for each kind of error, the most frequent first."""
        kinds = Counter(error.partition(":")[0] for error in self.errors.values())
        return dict(kinds.most_common())


def differences(jobs: Audit, plain: Audit) -> list[str]:
    """Say in what the audit by jobs differs from the plain one; nothing when they agree."""
    return [*_figures(jobs, plain), *_files(jobs, plain)]


def _figures(jobs: Audit, plain: Audit) -> Iterator[str]:
    figures: list[tuple[str, object, object]] = [
        ("files", jobs.files, plain.files),
        ("succeeded", len(jobs.digests), len(plain.digests)),
        ("dead", len(jobs.errors), len(plain.errors)),
        *(
            (name.replace("_", " "), jobs.totals.get(name), plain.totals.get(name))
            for name in sorted({*jobs.totals, *plain.totals})
        ),
    ]
    for name, ours, theirs in figures:
        if ours != theirs:
            yield f"{name}: {ours} by jobs, {theirs} in the plain loop"


def _files(jobs: Audit, plain: Audit) -> Iterator[str]:
    ours = {**jobs.digests, **jobs.errors}
    theirs = {**plain.digests, **plain.errors}
    missing = sorted(theirs.keys() - ours.keys())
    unknown = sorted(ours.keys() - theirs.keys())
    other = sorted(path for path in ours.keys() & theirs.keys() if ours[path] != theirs[path])
    for what, paths in (
        ("without an outcome of its job", missing),
        ("unknown to the plain loop", unknown),
        ("with another outcome", other),
    ):
        yield from (f"{path}: {what}" for path in paths[:SHOWN])
        if len(paths) > SHOWN:
            yield f"… and {len(paths) - SHOWN} more {what}"
