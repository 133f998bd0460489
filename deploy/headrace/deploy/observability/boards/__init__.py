"""The boards."""

from typing import Final

from headrace.deploy.observability.board import Board
from headrace.deploy.observability.boards.dead_letters import DEAD_LETTERS
from headrace.deploy.observability.boards.lane import LANE
from headrace.deploy.observability.boards.overview import OVERVIEW
from headrace.deploy.observability.boards.worker import WORKER

BOARDS: Final[tuple[Board, ...]] = (OVERVIEW, LANE, DEAD_LETTERS, WORKER)
