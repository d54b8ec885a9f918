"""Functions that a `config.py` may call, and words for what it may not hold."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Sequence
from typing import Any

MAX_SIZE = 50_000
"""Characters and items of one value"""


def _path(function: Callable[..., str]) -> Callable[..., str]:
    def checked(*arguments: Any) -> str:
        if not all(isinstance(a, str) for a in arguments):
            raise TypeError("paths are text")
        return function(*arguments)

    return checked


def _simple(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(argument: Any) -> Any:
        if not isinstance(argument, (str, int, float)):
            raise TypeError("text or a number is needed")
        return function(argument)

    return checked


def _range(*bounds: Any) -> Sequence[int]:
    numbers = range(*bounds)
    if len(numbers) > MAX_SIZE:
        raise ValueError("too many numbers")
    return list(numbers)


def _list(items: Any) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise TypeError("a list is needed")
    return list(items)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "os.path.join": _path(os.path.join),
    "os.path.normpath": _path(os.path.normpath),
    "os.path.abspath": _path(os.path.abspath),
    "os.path.dirname": _path(os.path.dirname),
    "os.path.basename": _path(os.path.basename),
    "os.path.expanduser": _path(os.path.expanduser),
    "str": _simple(str),
    "int": _simple(int),
    "float": _simple(float),
    "len": len,
    "range": _range,
    "list": _list,
}
WORDS = {
    "Expr": "a statement that gives no name a value",
    "Constant": "a value that is no number or text",
    "Dict": "a table with keys like these",
    "Import": "import",
    "ImportFrom": "import",
    "FunctionDef": "def",
    "AsyncFunctionDef": "def",
    "ClassDef": "class",
    "If": "if",
    "For": "for",
    "While": "while",
    "Try": "try",
    "With": "with",
    "Delete": "del",
    "Lambda": "lambda",
    "ListComp": "a list made in a loop",
    "SetComp": "a set made in a loop",
    "DictComp": "a table made in a loop",
    "GeneratorExp": "a loop",
    "IfExp": "if … else",
    "Set": "a set",
    "NamedExpr": ":=",
    "Compare": "a comparison",
    "BoolOp": "and/or",
    "Call": "this call",
    "Assert": "assert",
    "Raise": "raise",
    "Global": "global",
    "Await": "await",
}
