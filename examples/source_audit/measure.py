"""Measuring one source file: a pure function of its bytes."""

import ast
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

Compound = (
    ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If | ast.For | ast.AsyncFor
    | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match
)  # fmt: skip
"""Statements with blocks of their own."""
BRANCHES = frozenset(
    {
        ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case, ast.IfExp,
        ast.BoolOp, ast.comprehension, ast.Assert,
    }
)  # fmt: skip
"""Where a program may go one way or another. A set, since every node is looked up in it."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a file is like.

    Attributes:
        size: Bytes.
        lines: Lines, the blank ones too.
        code_lines: Lines of statements, without blank lines, comments and docstrings.
        functions: `def`s, methods too.
        classes: `class`es.
        branches: Places where it may go one way or another: `if`, `for`, `except`, `and` …
        depth: How many blocks deep the deepest statement stands; 0 without any block.
        imports: The top-level modules that it imports, sorted; relative ones with their dots.
        sha256: Of the bytes, in hex.
    """

    size: int
    lines: int
    code_lines: int
    functions: int
    classes: int
    branches: int
    depth: int
    imports: list[str]
    sha256: str


class UnparsableError(Exception):
    """The bytes are no Python source. The cause is what the parser said."""


def measure(source: bytes) -> Measurement:
    """Parse and measure a source file.

    Raises:
        UnparsableError: Python's parser refuses the bytes; says where and why.
    """
    tree = _parsed(source)
    statements = list(_walk(tree.body, 0))
    nodes = [node for node, _ in statements]
    lines = source.splitlines()
    return Measurement(
        size=len(source),
        lines=len(lines),
        code_lines=_code_lines(lines, tree, nodes),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        branches=sum(type(node) in BRANCHES for node in ast.walk(tree)),
        depth=max((depth for _, depth in statements), default=0),
        imports=sorted({name for node in nodes for name in _imported(node)}),
        sha256=hashlib.sha256(source).hexdigest(),
    )


def _parsed(source: bytes) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the files' own style
        try:
            return ast.parse(source)
        except SyntaxError as error:
            place = f"line {error.lineno}: " if error.lineno else ""
            raise UnparsableError(f"{place}{error.msg}") from error
        except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nested too deeply
            raise UnparsableError(str(error) or "nested too deeply for the parser") from error


def _walk(block: list[ast.stmt], depth: int) -> Iterator[tuple[ast.stmt, int]]:
    """Give each statement with the number of blocks around it."""
    waiting = [(node, depth) for node in reversed(block)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        for inner in _blocks(node):
            is_elif = isinstance(node, ast.If) and inner is node.orelse and _is_elif(node)
            waiting.extend((child, depth if is_elif else depth + 1) for child in reversed(inner))


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    if not isinstance(node, Compound):
        return
    for holder in (node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        for name in ("body", "orelse", "finalbody"):
            block: list[ast.stmt] | None = getattr(holder, name, None)
            if block:
                yield block


def _is_elif(node: ast.If) -> bool:
    """The parser writes `elif` as an `if` alone in the `else`, in the column of the first `if`."""
    following = node.orelse
    return (
        len(following) == 1
        and isinstance(following[0], ast.If)
        and following[0].col_offset == node.col_offset
    )


def _code_lines(lines: list[bytes], tree: ast.Module, nodes: list[ast.stmt]) -> int:
    numbers: set[int] = set()
    for node in tree.body:
        numbers.update(_span(node))
    for holder in (tree, *nodes):
        docstring = _docstring(holder)
        if docstring is not None:
            numbers.difference_update(_span(docstring))
    return sum(1 for number in numbers if _has_code(lines[number - 1 : number]))


def _span(node: ast.stmt) -> range:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min((each.lineno for each in decorators), default=node.lineno)
    return range(first, (node.end_lineno or node.lineno) + 1)


def _has_code(line: list[bytes]) -> bool:
    text = line[0].strip() if line else b""
    return bool(text) and not text.startswith(b"#")


def _docstring(holder: ast.AST) -> ast.stmt | None:
    if not isinstance(holder, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    match holder.body[:1]:
        case [ast.Expr(value=ast.Constant(value=str())) as first]:
            return first
        case _:
            return None


def _imported(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom):
        yield "." * node.level + (node.module or "").partition(".")[0]
