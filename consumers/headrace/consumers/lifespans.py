"""Entering a pipeline's lifespan, asynchronous or plain, once per process that runs handlers."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from headrace.pipeline.pipeline import Pipeline


async def enter_lifespan(pipeline: Pipeline, stack: AsyncExitStack) -> Any:
    """Enter the lifespan, if there is one; gives what it yields."""
    if pipeline.lifespan is None:
        return None
    manager = pipeline.lifespan()
    if isinstance(manager, AbstractAsyncContextManager):
        return await stack.enter_async_context(manager)
    return stack.enter_context(manager)
