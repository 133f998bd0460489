"""The report: `python -m benchmarks.field.report` makes docs/benchmarks from build/bench/results.

It also renews the performance section of README.md, between its markers, when it has some. Nothing
of what it writes is edited by hand.
"""

import argparse
import json
from pathlib import Path

from benchmarks.field import tables
from benchmarks.field.results import Results
from benchmarks.field.run import RESULTS
from benchmarks.field.summary import Row, find, rows, shown
from benchmarks.field.workloads.catalog import WORKLOADS

TARGET = Path("docs/benchmarks")
README = Path("README.md")
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
_HEAD = """# Side by side

Made by `make bench` and `make bench-report`, never by hand. What each workload does and how it is
measured: [how to measure](../how-to/benchmark.md).
"""


def main() -> None:
    """Write all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--readme", type=Path, default=README)
    chosen = parser.parse_args()
    write(Results(chosen.results), chosen.target, chosen.readme)


def write(results: Results, target: Path, readme: Path) -> None:
    """Write page, data and plots; renew the README's section."""
    from benchmarks.field import plots  # noqa: PLC0415 - needs what only a report needs

    target.mkdir(parents=True, exist_ok=True)
    (target / "README.md").write_text(page(results), encoding="utf-8")
    (target / "results.json").write_text(document(results), encoding="utf-8")
    plots.draw(results, target)
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(renewed(text, summary(results)), encoding="utf-8")


def page(results: Results) -> str:
    """Write the whole report as Markdown."""
    parts = [_HEAD, _machine(results), tables.systems_table(results), *tables.sections(results)]
    return "\n".join(parts)


def document(results: Results) -> str:
    """Give all results as one JSON document."""
    content = {
        "machine": results.about("machine"),
        "systems": {
            name: results.about(f"systems/{name}") for name in sorted(tables.titles(results))
        },
        "workloads": {
            workload.name: {
                system: results.runs(workload.name, system)
                for system in results.systems(workload.name)
            }
            for workload in WORKLOADS
            if workload.name in results.workloads()
        },
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _machine(results: Results) -> str:
    found = results.about("machine")
    if not found:
        return ""
    return (
        f"On {found['processor']}, {found['cores']} cores shared by clients, workers and services, "
        f"{found['memory_gb']} GB; Linux {found['kernel']}, CPython {found['python']}; "
        f"{found['day']}. Medians; ± is half of the way from the least to the greatest run.\n"
    )


def summary(results: Results) -> str:
    """Write the README's section: submitting, draining and latency of all systems."""
    names = tables.titles(results)
    submitted, drained = list(rows(results, "1-submit")), list(rows(results, "2-drain"))
    late = list(rows(results, "5-latency"))
    lines = []
    for name, title in names.items():
        one = find(drained, name, "one process")
        if one is not None:
            lines.append(
                [
                    title,
                    _shown(find(submitted, name, "pipelined"), "per_s"),
                    _shown(one, "per_s"),
                    _shown(find(late, name, "100 jobs/s"), "p99_ms"),
                    _lost(one),
                ]
            )
    lines.sort(key=lambda line: -float(line[2].replace(",", "") or 0))
    head = ["system", "submit/s", "drain/s, one process", "p99 ms at 100/s", "lost, ran twice"]
    return f"{_machine(results)}\n{tables.table(head, lines, texts=1)}"


def _shown(row: Row | None, name: str) -> str:
    found = row.median(name) if row is not None else None
    return "" if found is None else shown(found)


def _lost(row: Row) -> str:
    return f"{row.worst('lost') or 0:,.0f}, {row.worst('doubled') or 0:,.0f}"


def renewed(text: str, section: str) -> str:
    """Put the section between the markers; a text without them stays as it is."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    return f"{before}{BEGIN}\n{section}{END}{after}"


if __name__ == "__main__":
    main()
