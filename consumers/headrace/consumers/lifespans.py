"""Entering a pipeline's lifespan, asynchronous or plain, once per process that runs handlers."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from typing import Any

from headrace.pipeline.errors import DeclarationError
from headrace.pipeline.pipeline import Pipeline


async def enter_lifespan(pipeline: Pipeline, stack: AsyncExitStack) -> Any:
    """Enter the lifespan, if there is one; gives what it yields.

    Raises:
        DeclarationError: It gave no context manager.
    """
    if pipeline.lifespan is None:
        return None
    manager = pipeline.lifespan()
    if isinstance(manager, AbstractAsyncContextManager):
        return await stack.enter_async_context(manager)
    if isinstance(manager, AbstractContextManager):
        return stack.enter_context(manager)
    raise DeclarationError(
        f"the lifespan of pipeline {pipeline.name!r} gave {manager!r}, which is no context manager: "
        "decorate it with contextlib.contextmanager or contextlib.asynccontextmanager"
    )
