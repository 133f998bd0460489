from pathlib import Path

import pytest

from headrace.console import reference
from headrace.pipeline.settings import ALL_SETTINGS
from headrace.pipeline.telemetry.metric_list import ALL_METRICS

COMMITTED = Path(__file__).parents[2] / "docs" / "reference"


def test_the_committed_pages_are_what_the_code_says() -> None:
    assert reference.main(["--check", "--folder", str(COMMITTED)]) == 0, (
        "run `python -m headrace.console.reference`"
    )


def test_every_setting_and_every_metric_is_on_its_page() -> None:
    settings = {f"`HEADRACE_{name.upper()}`" for k in ALL_SETTINGS for name in k.model_fields}
    assert [name for name in settings if name not in reference.settings_page()] == []
    metrics = {f"`{spec.name}`" for spec in ALL_METRICS}
    assert [name for name in metrics if name not in reference.metrics_page()] == []


def test_a_page_that_differs_or_is_missing_fails_the_check_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference.main(["--folder", str(tmp_path)]) == 0
    (tmp_path / "settings.md").unlink()
    with (tmp_path / "metrics.md").open("a") as page:
        page.write("more\n")
    assert reference.main(["--check", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "settings.md differs" in told
    assert "metrics.md differs" in told


def test_every_row_of_a_table_has_the_cells_of_its_head() -> None:
    for text in reference.pages().values():
        for line, above in zip(text.splitlines()[1:], text.splitlines(), strict=False):
            if line.startswith("|") and above.startswith("|"):
                assert line.replace(r"\|", "").count("|") == above.replace(r"\|", "").count("|")
