"""Counting the bytecode instructions that a thread executes, function by function."""

import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any


def counted(work: Callable[[], object]) -> Counter[str]:
    """Run something in this thread; gives the instructions of each Python function, by its name."""
    found: Counter[CodeType] = Counter()

    def instruction(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            found[frame.f_code] += 1
        return instruction

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return instruction

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    named: Counter[str] = Counter()
    for code, number in found.items():
        named[name_of(code)] += number
    return named


def name_of(code: CodeType) -> str:
    """Name a function by its file and itself."""
    return f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}"
