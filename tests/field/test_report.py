"""Results on disk, and the page that is made from them."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.field import report, steps, tables
from benchmarks.field.bench import Bench, Case, Sizes, attempt
from benchmarks.field.catalog import SYSTEMS
from benchmarks.field.contract import Figures, System
from benchmarks.field.headrace_system import BARE, HEADRACE
from benchmarks.field.progress import Progress
from benchmarks.field.results import Results
from benchmarks.field.services import Services
from benchmarks.field.summary import rows
from benchmarks.field.workloads.catalog import WORKLOADS, Workload


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
    workload = Workload(9, "9-none", "None", 2, 1.0, measure)
    assert steps.measure(bench, missing(results, workload)) == 1
    assert measure.met == ["headrace", "bare", "headrace", "bare"]
    assert steps.measure(bench, missing(results, workload)) == 0
    assert measure.met[4:] == ["bare"]
    assert [len(row.figures["per_s"].values) for row in rows(results, "9-none")] == [2, 2]


def missing(results: Results, workload: Workload) -> list[steps.Step]:
    return steps.missing(results, [workload], [HEADRACE, BARE], lambda each: each.repeats)


def test_what_was_measured_before_a_failure_is_shown_and_so_is_the_reason(tmp_path: Path) -> None:
    results = Results(tmp_path)

    def measure(bench: Bench, system: System) -> Iterator[Case]:
        yield Case("one process", {"per_s": 7.0, "lost": 0.0})
        yield attempt("2 processes", partial(_fail, "its client | said:\nwhat counts"))
        raise TimeoutError

    workload = Workload(2, "2-drain", "Drain", 1, 1.0, measure)
    step = steps.Step(workload, BARE, 1)
    steps.once(Bench(Services(), results, Sizes.quick(10)), step)
    assert missing(results, workload)[1] == step
    told = tables.workload_table(results, workload) + tables.failures_table(results, workload)
    assert "| one process | bare | 7 | 0 |" in told
    assert "| 2 processes | bare | its client \\| said: … what counts |" in told
    assert "| the rest | bare | TimeoutError |" in told


def test_a_run_that_failed_once_and_then_did_not_is_no_failure_any_more(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write_failed("2-drain", "bare", 1, {"cases": [Case("x", {}, failed="y").document()]})
    assert [row.failed for row in rows(results, "2-drain")] == ["y"]
    results.write("2-drain", "bare", 1, {"cases": [Case("x", {"per_s": 1.0}).document()]})
    assert [row.failed for row in rows(results, "2-drain")] == [""]


def _fail(message: str) -> Figures:
    raise RuntimeError(message)


def test_the_time_left_grows_with_what_the_runs_before_took() -> None:
    times = iter((0.0, 20.0, 30.0))
    progress = Progress([10.0, 10.0, 100.0], clock=lambda: next(times))
    assert progress.step() == "[1/3, 4 min left]"
    assert progress.step() == "[2/3, 2 min left]"


def test_columns_of_text_are_on_the_left_and_systems_in_the_order_of_the_catalogue(
    results: Results,
) -> None:
    assert list(tables.titles(results)) == ["headrace", "absent", "slow"]
    assert "| --- | --- | --- | --- | --- |" in tables.systems_table(results)


def test_a_sweep_is_shown_by_system_its_best_setting_first(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for name, rates in (("b", (5.0, 9.0)), ("a", (1.0, 2.0))):
        cases = [Case(f"1 x {rate:.0f}", {"per_s": rate}).document() for rate in rates]
        results.write("0-sweep", name, 1, {"cases": cases})
    (sweep,) = [each for each in WORKLOADS if each.name == "0-sweep"]
    found = [line.split(" | ")[2] for line in tables.workload_table(results, sweep).splitlines()]
    assert [each.strip(" |") for each in found[2:]] == ["2", "1", "9", "5"]


def test_a_drain_is_no_larger_than_what_can_be_filled_in_time(tmp_path: Path) -> None:
    results = Results(tmp_path)
    bench = Bench(Services(), results, Sizes())
    assert bench.full(BARE, 50_000.0) == 200_000
    figures = {"per_s": 50_000.0, "submit_per_s": 700.0}
    case = Case("1 x 1", figures, {"processes": 1, "in_flight": 1, "pool": ""})
    results.write("0-sweep", "bare", 1, {"cases": [case.document()]})
    assert bench.full(BARE, 50_000.0) == 7_000


def test_a_full_benchmark_takes_about_an_hour() -> None:
    planned = steps.missing(Results(Path("nowhere")), WORKLOADS, SYSTEMS, lambda each: each.repeats)
    assert 55 * 60 <= sum(step.workload.seconds for step in planned) <= 70 * 60
