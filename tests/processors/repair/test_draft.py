"""What there is to edit of a letter, and what of it may change."""

from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, load
from headrace.processors.errors import EditError
from headrace.processors.repair.edit import Editor, job_record
from headrace.schemas import headers
from headrace.schemas.errors import ArgumentError
from tests.processors.repair.letters import letter

ODD = b"\xff\x00"


def shop() -> Pipeline:
    made = Pipeline("shop")

    @made.job("card.charge")
    def charge(
        order: int,
        at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        note: str = "-",
        blob: bytes = b"",
    ) -> None: ...

    return made


def payload(pipeline: Pipeline, **values: Any) -> bytes:
    codec = pipeline.job_types["card.charge"].arguments
    return codec.encode(codec.bind(**values))


@pytest.fixture
def editor() -> Editor:
    # Nothing listens there: a draft of a declared type asks nobody.
    return Editor(shop(), load(KafkaSettings, bootstrap_servers="127.0.0.1:1"))


def test_an_edit_changes_what_was_set_and_keeps_the_rest_to_the_byte(editor: Editor) -> None:
    at = datetime(2026, 12, 24, 18, 0, 0, 123_456, tzinfo=UTC)
    old = payload(shop(), order=17, at=at, blob="grün".encode())
    draft = editor.draft(letter(payload=old))
    assert draft.arguments is not None
    edit = editor.edit(draft, {**draft.arguments, "order": 18})
    assert edit.payload == payload(shop(), order=18, at=at, blob="grün".encode())


def test_bytes_that_are_no_text_stay_and_cannot_be_changed(editor: Editor) -> None:
    draft = editor.draft(letter(payload=payload(shop(), order=17, blob=ODD)))
    assert draft.arguments is not None
    assert draft.fixed == {"blob"}
    edit = editor.edit(draft, {**draft.arguments, "order": 18})
    assert edit.payload == payload(shop(), order=18, blob=ODD)
    with pytest.raises(EditError, match="'blob'"):
        editor.edit(draft, {**draft.arguments, "blob": "x"})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"order": "18"}, "order"),
        ({"colour": 1}, "colour"),
        ({"at": "yesterday"}, "at"),
    ],
)
def test_arguments_that_do_not_fit_the_type_are_refused_by_name(
    editor: Editor, change: dict[str, Any], told: str
) -> None:
    draft = editor.draft(letter(payload=payload(shop(), order=17)))
    assert draft.arguments is not None
    with pytest.raises(ArgumentError, match=told):
        editor.edit(draft, {**draft.arguments, **change})


def test_an_edit_that_changes_nothing_is_refused(editor: Editor) -> None:
    draft = editor.draft(letter(payload=payload(shop(), order=17)))
    assert draft.arguments is not None
    with pytest.raises(EditError, match="as they were"):
        editor.edit(draft, draft.arguments)


def test_a_type_that_is_not_declared_cannot_be_edited(editor: Editor) -> None:
    with pytest.raises(EditError, match=r"'mail\.send'"):
        editor.draft(letter(job_type="mail.send"))


def test_the_same_edit_is_the_same_job_and_another_letter_or_change_is_another(
    editor: Editor,
) -> None:
    old = payload(shop(), order=17)

    def job_id(order: int, offset: int = 9) -> str:
        draft = editor.draft(letter(payload=old, offset=offset))
        return editor.edit(draft, {"order": order}).job_id

    assert job_id(18) == job_id(18)
    assert len({job_id(18), job_id(19), job_id(18, offset=10)}) == 3


def test_the_new_job_starts_afresh_and_keeps_whose_it_is(editor: Editor) -> None:
    dead = letter(payload=payload(shop(), order=17), key="customer-1", generation=2)
    record = job_record(shop(), editor.edit(editor.draft(dead), {"order": 18}), 9_000)
    new = headers.decode(record.headers, lane="", timestamp=0)
    assert (record.topic, record.key) == ("shop.default.normal", b"customer-1")
    assert (new.attempt, new.step, new.generation, new.history) == (1, 0, 0, ())
    assert (new.tenant, new.created) == ("acme", 9_000)
    assert dict(new.extra) == {
        headers.TRACEPARENT: dict(dead.record.headers)[headers.TRACEPARENT],
        headers.EDITED_FROM: b"0190-a",
    }


def test_a_job_without_an_ordering_key_is_keyed_by_its_new_id(editor: Editor) -> None:
    draft = editor.draft(letter(payload=payload(shop(), order=17)))
    edit = editor.edit(draft, {"order": 18})
    assert job_record(shop(), edit, 9_000).key == edit.job_id.encode()
