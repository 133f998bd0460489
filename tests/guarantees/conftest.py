"""One stage for each module: its topics, and nothing that runs."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import Journal
from tests.support.stage import Stage


def new_stage(kafka: str, folder: Path, **how: Any) -> Stage:
    return Stage.build(f"t{uuid.uuid4().hex[:8]}", kafka, folder, **how)


@pytest.fixture(scope="module")
def stage(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = new_stage(kafka, tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture
def journal(stage: Stage) -> Journal:
    return stage.journal()
