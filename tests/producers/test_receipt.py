"""A receipt whose waiter is gone: the broker's answer reaches everybody else."""

import asyncio
from typing import cast

import pytest
from confluent_kafka import Message

from headrace.producers.receipt import Answers, Position, Receipt


class Answered:
    """What the client gives to a delivery callback."""

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 7


def test_an_answer_after_the_waiters_loop_was_closed_reaches_the_others() -> None:
    answers = Answers(None)
    receipt: Receipt[None] = Receipt("1", "work", "shop.default.normal", 0, answers)

    async def give_up() -> None:
        async def wait() -> None:
            await receipt

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.01)

    asyncio.run(give_up())

    async def wait() -> Position:
        waiting = asyncio.ensure_future(_wait())
        await asyncio.sleep(0)
        receipt.delivered(None, cast(Message, Answered()))
        return await waiting

    async def _wait() -> Position:
        return await receipt

    assert asyncio.run(wait()) == Position("shop.default.normal", 3, 7)
