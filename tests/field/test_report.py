"""Results on disk, and the page that is made from them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.field import report, run
from benchmarks.field.bench import Bench, Case, Sizes
from benchmarks.field.contract import System
from benchmarks.field.headrace_system import BARE, HEADRACE
from benchmarks.field.results import Results
from benchmarks.field.services import Services
from benchmarks.field.summary import rows
from benchmarks.field.workloads.catalog import Workload


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three recorded runs of two systems, and one system that could not be installed."""
    found = Results(tmp_path / "results")
    for name, title in (("headrace", "Headrace"), ("slow", "Slow"), ("absent", "Absent")):
        about = {"title": title, "durability": "none", "source": "x", "service": "kafka"}
        if name == "absent":
            about["missing"] = "no wheel for this Python"
        found.write_file(found.folder / "systems" / f"{name}.json", about)
    for number, rate in enumerate((900.0, 1_000.0, 1_300.0), start=1):
        figures = {"per_s": rate, "lost": 0.0, "doubled": 0.0}
        slower = {"per_s": rate / 10, "lost": float(number == 2), "doubled": 3.0}
        for name, given in (("headrace", figures), ("slow", slower)):
            cases = [Case("one process", given, {"setting": "1 x 100"}).document()]
            found.write("2-drain", name, number, {"cases": cases, "seconds": 1.0})
    return found


def test_the_table_shows_medians_with_their_spread_the_fastest_first(results: Results) -> None:
    lines = [line for line in report.page(results).splitlines() if "| one process |" in line]
    assert "| Headrace | 1 x 100 | 1,000 ± 20% | 0 | 0 |" in lines[0]
    assert "| Slow |" in lines[1]


def test_a_loss_in_one_run_of_several_is_not_hidden_by_the_median(results: Results) -> None:
    (line,) = [line for line in report.page(results).splitlines() if "| Slow | 1 x 100 |" in line]
    assert line.endswith("| 1 | 3 |")


def test_a_system_that_could_not_be_installed_is_named_with_the_reason(results: Results) -> None:
    assert "| Absent | no wheel for this Python |" in report.page(results)


def test_the_readme_is_renewed_between_its_markers_alone(results: Results) -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.renewed(text, report.summary(results))
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    assert "| Headrace |" in once
    assert report.renewed(once, report.summary(results)) == once


def test_a_readme_without_markers_stays_as_it_is(results: Results) -> None:
    assert report.renewed("nothing here\n", report.summary(results)) == "nothing here\n"


def test_all_runs_stand_in_the_published_document(results: Results) -> None:
    content = report.document(results)
    assert content.count('"run-') == 0
    assert content.count('"per_s"') == 6


class Counting:
    """A workload that fails the first time it meets the bare loop."""

    def __init__(self) -> None:
        self.met: list[str] = []

    def __call__(self, bench: Bench, system: System) -> Iterator[Case]:
        self.met.append(system.name)
        if self.met == ["headrace", "bare"]:
            raise RuntimeError("broken off")
        yield Case("only", {"per_s": 1.0})


def test_a_benchmark_that_was_broken_off_measures_only_what_is_missing(tmp_path: Path) -> None:
    results = Results(tmp_path)
    bench = Bench(Services(), results, Sizes.quick(10))
    measure = Counting()
    workload = Workload(9, "9-none", "None", 2, measure)
    run.in_turns(bench, workload, [HEADRACE, BARE], 2)
    assert measure.met == ["headrace", "bare", "headrace", "bare"]
    run.in_turns(bench, workload, [HEADRACE, BARE], 2)
    assert measure.met[4:] == ["bare"]
    assert [len(row.figures["per_s"].values) for row in rows(results, "9-none")] == [2, 2]
