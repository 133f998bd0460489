"""The committed schemas: what `headrace schemas check` goes by."""

import json
from pathlib import Path

import pytest

from headrace.pipeline import Pipeline
from headrace.pipeline.schema_files import Change, compare, write
from headrace.schemas.errors import IncompatibleSchemaError, SchemaError


def first() -> Pipeline:
    shop = Pipeline("shop")

    @shop.job("mail.send")
    def send(to: str, size: int) -> None: ...

    return shop


def second(kind: type = str) -> Pipeline:
    shop = Pipeline("shop")

    def send(to: str, size: int, cc: str = "") -> None: ...

    send.__annotations__["size"] = kind
    shop.job("mail.send")(send)
    return shop


def test_a_new_job_type_is_found_and_written_where_it_belongs(tmp_path: Path) -> None:
    [finding] = compare(first(), tmp_path)
    assert finding.change is Change.NEW
    write(first(), tmp_path)
    file = tmp_path / "shop" / "mail.send.avsc"
    assert finding.file == file
    assert json.loads(file.read_text())["fields"][0]["name"] == "to"


def test_what_was_written_is_unchanged(tmp_path: Path) -> None:
    write(first(), tmp_path)
    assert [finding.change for finding in compare(first(), tmp_path)] == [Change.UNCHANGED]


def test_a_compatible_change_is_told_apart_and_can_be_written(tmp_path: Path) -> None:
    write(first(), tmp_path)
    assert [finding.change for finding in compare(second(int), tmp_path)] == [Change.COMPATIBLE]
    write(second(int), tmp_path)
    assert [finding.change for finding in compare(second(int), tmp_path)] == [Change.UNCHANGED]


def test_an_incompatible_change_names_field_and_reason_and_is_not_written(tmp_path: Path) -> None:
    write(first(), tmp_path)
    [finding] = compare(second(str), tmp_path)
    assert finding.change is Change.INCOMPATIBLE
    assert {reason.field for reason in finding.reasons} == {"size"}
    assert "field `size`" in str(finding)
    with pytest.raises(IncompatibleSchemaError, match="field `size`"):
        write(second(str), tmp_path)
    assert [finding.change for finding in compare(first(), tmp_path)] == [Change.UNCHANGED]


def test_an_incompatible_change_can_be_accepted_on_purpose(tmp_path: Path) -> None:
    write(first(), tmp_path)
    write(second(str), tmp_path, accept_incompatible=True)
    assert [finding.change for finding in compare(second(str), tmp_path)] == [Change.UNCHANGED]


def test_a_job_type_that_is_gone_is_reported_and_its_file_stays(tmp_path: Path) -> None:
    write(first(), tmp_path)
    [finding] = write(Pipeline("shop"), tmp_path)
    assert (finding.job_type, finding.change) == ("mail.send", Change.REMOVED)
    assert finding.file.exists()


@pytest.mark.parametrize("name", ["mail/send", "../mail", "größe", "mail.send.avsc", ".."])
def test_any_job_type_name_has_a_file_of_its_own_below_the_folder(
    name: str, tmp_path: Path
) -> None:
    shop = Pipeline("shop")

    @shop.job(name)
    def send(to: str) -> None: ...

    write(shop, tmp_path)
    assert [(f.job_type, f.change) for f in compare(shop, tmp_path)] == [(name, Change.UNCHANGED)]
    assert len(list((tmp_path / "shop").iterdir())) == 1


@pytest.mark.parametrize("content", ["not json", '{"type": "mystery"}', ""])
def test_a_file_that_is_no_schema_is_an_error_that_names_it(content: str, tmp_path: Path) -> None:
    file = tmp_path / "shop" / "mail.send.avsc"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(SchemaError, match=r"mail\.send\.avsc"):
        compare(first(), tmp_path)
