"""The parts of the demo that need no Kafka: measuring, the plain loop, comparing, concluding."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from examples.source_audit import plain, readback, report
from examples.source_audit.audit import Outcome
from examples.source_audit.compare import Audit, differences
from examples.source_audit.display import Display
from examples.source_audit.jobs import LARGE, SMALL, audit, measure_file, priority_of
from examples.source_audit.measure import UnparsableError, measure
from examples.source_audit.options import Options, parse
from examples.source_audit.readback import Account, Standing
from examples.source_audit.submission import Submitted, find_files
from headrace.pipeline import Reject
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.settings import KafkaSettings
from headrace.schemas.transitions import Transition

SOURCE = b'''"""Module docstring,
two lines."""

import os.path
from . import sibling

# a comment


@decorator
class Thing:
    """Docstring."""

    async def work(self, items):
        for item in items:
            if item and self:
                yield item
            elif not item:
                try:
                    pass
                except ValueError:
                    raise
'''


# -- measuring ---------------------------------------------------------------------------------


def test_a_file_is_measured_by_its_statements() -> None:
    found = measure(SOURCE)
    assert (found.lines, found.code_lines, found.size) == (22, 13, len(SOURCE))
    assert (found.functions, found.classes) == (1, 1)
    assert found.imports == [".", "os"]
    assert found.branches == 5  # for, if, and, elif, except


def test_an_elif_stands_no_deeper_than_its_if() -> None:
    assert measure(b"if a:\n    x\nelif b:\n    y\nelse:\n    z\n").depth == 1
    assert measure(b"if a:\n    x\nelse:\n    if b:\n        y\n").depth == 2


def test_blocks_of_try_with_and_match_count_as_depth() -> None:
    source = b"try:\n    with a:\n        match b:\n            case 1:\n                x\nfinally:\n    y\n"
    assert measure(source).depth == 3


def test_an_empty_file_has_nothing() -> None:
    found = measure(b"")
    assert (found.lines, found.code_lines, found.depth, found.imports) == (0, 0, 0, [])


def test_a_multi_line_string_that_is_no_docstring_is_code() -> None:
    assert measure(b'x = """a\nb\nc"""\n').code_lines == 3
    assert measure(b'"""a\nb\nc"""\n').code_lines == 0


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (b"print 'x'\n", "line 1: Missing parentheses"),
        (b"# coding: uft-8\n", "unknown encoding: uft-8"),
        (b"x = '\xff'\n", "codec can't decode"),
        (b"x = 1\x00\n", "null bytes"),
    ],
)
def test_what_the_parser_refuses_is_unparsable_and_says_why(source: bytes, why: str) -> None:
    with pytest.raises(UnparsableError, match=why):
        measure(source)


def test_warnings_about_the_style_of_a_file_stay_silent() -> None:
    assert measure(rb"x = '\d' is 5").lines == 1  # warnings are errors in these tests


# -- the job -----------------------------------------------------------------------------------


def test_the_job_measures_the_file_and_its_result_survives_avro(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(SOURCE)
    found = measure_file(str(tmp_path), "a.py")
    codec = measure_file.result
    assert codec is not None
    assert codec.decode(codec.encode(found), known_schemas(audit, _nowhere())) == found


def test_the_job_rejects_what_cannot_be_parsed_with_the_parsers_error_as_cause(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.py").write_text("def")
    with pytest.raises(Reject, match="line 1: invalid syntax") as caught:
        measure_file(str(tmp_path), "a.py")
    assert isinstance(caught.value.__cause__, SyntaxError)


def test_small_files_go_first_and_large_ones_last() -> None:
    sizes = (0, SMALL - 1, SMALL, LARGE - 1, LARGE)
    assert [priority_of(size) for size in sizes] == ["high", "high", "normal", "normal", "low"]


# -- the plain loop ----------------------------------------------------------------------------


def test_the_plain_loop_finds_the_files_that_are_submitted(tmp_path: Path) -> None:
    for path in ("a.py", "b/c.py", "b/site-packages/d.py", "dist-packages/e.py", "f.txt", "é/ü.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "folder.py").mkdir()
    submitted = [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path, None)]
    assert submitted == ["a.py", "b/c.py", "é/ü.py"]
    assert sorted(plain.python_files(tmp_path)) == submitted


def test_the_plain_loop_counts_what_it_measures_and_what_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(SOURCE)
    (tmp_path / "b.py").write_bytes(SOURCE)
    (tmp_path / "c.py").write_text("def")
    told: list[int] = []
    found = plain.audit_plainly(tmp_path, progress=told.append)
    assert (found.files, sorted(found.digests), told) == (3, ["a.py", "b.py"], [1, 2, 3])
    assert found.errors == {"c.py": "SyntaxError: line 1: invalid syntax"}
    assert found.totals["code_lines"] == 26


def test_both_ways_digest_a_result_alike_and_every_field_counts() -> None:
    found = measure(SOURCE)
    assert plain.digest_of(found) == readback.digest_of(found)
    assert plain.digest_of(replace(found, depth=99)) != plain.digest_of(found)


# -- the standing of a run -----------------------------------------------------------------------


def test_a_standing_does_not_depend_on_order_and_counts_what_ran_again() -> None:
    life = [_transition("a", "running"), _transition("a", "succeeded"), _transition("b", "dead")]
    forwards, backwards = Standing(), Standing()
    forwards.take(life)
    backwards.take(reversed(life))
    assert forwards == backwards
    assert (forwards.finished, forwards.again) == (2, 0)
    forwards.take([_transition("a", "succeeded")])
    assert (forwards.finished, forwards.again) == (2, 1)


# -- comparing and concluding ------------------------------------------------------------------


def test_equal_audits_do_not_differ() -> None:
    assert differences(_audit(), _audit()) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ({"digests": {"a.py": "1", "b.py": "9"}}, "b.py: with another outcome"),
        ({"digests": {"a.py": "1"}}, "b.py: without an outcome of its job"),
        ({"digests": {"a.py": "1", "b.py": "2", "z.py": "3"}}, "z.py: unknown to the plain loop"),
        ({"errors": {"c.py": "OSError: gone"}}, "c.py: with another outcome"),
        ({"totals": {"lines": 6}}, "lines: 6 by jobs, 7 in the plain loop"),
        ({"files": 4}, "files: 4 by jobs, 3 in the plain loop"),
    ],
)
def test_each_kind_of_difference_is_named(broken: dict[str, object], told: str) -> None:
    assert told in differences(replace(_audit(), **broken), _audit())  # type: ignore[arg-type]


def test_only_some_of_many_differing_files_are_named() -> None:
    many = {f"{number}.py": "x" for number in range(25)}
    found = differences(Audit(0, {}, {}, {}), Audit(0, many, {}, {}))
    assert "… and 15 more without an outcome of its job" in found


def test_agreement_ends_with_exit_code_0_and_the_figures_as_json(tmp_path: Path) -> None:
    options = Options(tmp_path, json=tmp_path / "figures.json")
    display, shown = _display()
    assert report.conclude(_outcome(_audit(), _audit()), options, display) == 0
    assert "Agreed" in shown.getvalue()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["agree"], figures["succeeded"], figures["dead"]) == (
        True,
        2,
        {"SyntaxError": 1},
    )


def test_one_broken_result_ends_with_exit_code_1_and_the_file_is_named(tmp_path: Path) -> None:
    broken = replace(_audit(), digests={"a.py": "1", "b.py": "broken"})
    display, shown = _display()
    assert report.conclude(_outcome(broken, _audit()), Options(tmp_path), display) == 1
    assert "b.py: with another outcome" in shown.getvalue()
    assert "Agreed" not in shown.getvalue()


def test_the_commands_to_try_next_name_the_pipeline_and_the_jobs(tmp_path: Path) -> None:
    display, shown = _display()
    options = Options(tmp_path, broker_directory=Path("else where"))
    report.conclude(_outcome(_audit(), _audit()), options, display)
    text = shown.getvalue()
    assert "export HEADRACE_PIPELINE=examples.source_audit.jobs:audit" in text
    assert "export HEADRACE_BOOTSTRAP_SERVERS=127.0.0.1:1" in text
    assert "kafka start --directory 'else where'" in text
    assert "jobs show id-a" in text
    assert "dlq show id-c" in text


def test_a_wrong_option_ends_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--limit", "0"], ["--directory", "/no/such/folder"]):
        with pytest.raises(SystemExit) as caught:
            parse(wrong)
        assert caught.value.code == 2
        assert wrong[1] in capsys.readouterr().err


def _audit() -> Audit:
    return Audit(3, {"a.py": "1", "b.py": "2"}, {"c.py": "SyntaxError: line 1"}, {"lines": 7})


def _outcome(ours: Audit, theirs: Audit) -> Outcome:
    standing = Standing()
    standing.take([_transition("id-a", "succeeded"), _transition("id-c", "dead")])
    return Outcome(
        run="run-1",
        bootstrap="127.0.0.1:1",
        submitted=Submitted({"id-a": "a.py", "id-b": "b.py", "id-c": "c.py"}, {"high": 3}, 0.1),
        jobs=Account(ours, standing, {"c.py": "id-c"}),
        plain=theirs,
        plain_seconds=1.0,
        restarts=1,
        differences=differences(ours, theirs),
        seconds=5.0,
    )


def _transition(job_id: str, state: str) -> Transition:
    return Transition(
        job_id, "source.measure", state, "source-audit.files.high", 0, 0, 1, 0, 0,
        time=1_000, created=900, worker="w", started=950, ended=1_000,
    )  # fmt: skip


def _display() -> tuple[Display, io.StringIO]:
    shown = io.StringIO()
    return Display(Console(file=shown, width=120, highlight=False)), shown


def _nowhere() -> KafkaSettings:
    return KafkaSettings(bootstrap_servers="127.0.0.1:1")
