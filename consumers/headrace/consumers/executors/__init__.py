"""Where attempts run: on the event loop, in threads, in child processes."""

from headrace.consumers.executors.async_executor import AsyncExecutor
from headrace.consumers.executors.contract import Executor
from headrace.consumers.executors.isolated_executor import IsolatedExecutor
from headrace.consumers.executors.process_executor import ProcessExecutor
from headrace.consumers.executors.thread_executor import ThreadExecutor

__all__ = ["AsyncExecutor", "Executor", "IsolatedExecutor", "ProcessExecutor", "ThreadExecutor"]
