"""Reads a `config.py` without executing it: walks its syntax tree and understands only what such files hold.

That is: assignments of names; text, numbers, `True`, `False`, `None`; lists, tuples, tables; `+ - * / // ** %`;
f-strings and `%`; parts of known values (`NAMES[0]`); `os.path.join` and its relatives, `os.environ`, `os.getenv`;
`str`, `int`, `float`, `len`, `range`. All else is refused with its line and a cure. Nothing it does can take long or
much memory.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from ald_core.errors import InputError
from ald_core.legacy.functions import FUNCTIONS, MAX_SIZE, WORDS

MAX_BYTES = 200_000
"""Size of a file"""
MAX_WORK = 400_000
"""Characters and items of all values of a file together"""
MAX_DEPTH = 60
"""Of expressions in each other"""
MAX_BITS = 1024
MAX_NAME = 100
MAX_WIDTH = 1000
"""Of a number or text in a format"""
TRUST = "write it out, or give --trust-config to execute the file"

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FORMAT = re.compile(r"%(?:%|[-+ #0]*(\d*)(?:\.(\d*))?[sdifeEgGr])")


@attrs.frozen
class Assignment:
    """The last value that a name was given."""

    value: Any
    line: int


@attrs.define
class Evaluated:
    """What a file says."""

    assignments: dict[str, Assignment] = attrs.field(factory=dict)
    read: set[str] = attrs.field(factory=set)
    """Names that other values were made of"""


def evaluate(
    text: str,
    path: Path | None,
    defaults: Callable[[str], str | None],
    environment: Mapping[str, str] | None = None,
) -> Evaluated:
    """Evaluate the text of a `config.py`.

    Args:
        text: of the file.
        path: for messages, and for `__file__`.
        defaults: expression for a name that is used without having been given a value; None for an unknown one.
        environment: what `os.environ` holds.

    Raises:
        InputError: with the line of whatever is not understood.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES} bytes; that is no configuration", path=path)
    return _Evaluator(path, defaults, environment or {}).run(_parse(text, path))


def evaluate_expression(
    text: str, known: Evaluated, path: Path, defaults: Callable[[str], str | None]
) -> Any:
    """The value of an expression in which the names of an evaluated file may stand."""
    evaluator = _Evaluator(path, defaults, {})
    evaluator.known = Evaluated(dict(known.assignments))
    return evaluator.value(ast.parse(text, mode="eval").body)


def _parse(text: str, path: Path | None) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        line = (error.text or "").strip()[:60]
        place = f" in column {error.offset}" if error.offset else ""
        shown = f": {line}" if line else ""
        raise InputError(
            f"is no Python{place} ({error.msg}){shown}", path=path, line=error.lineno
        ) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"is no Python ({error or 'too deeply nested'})", path=path) from None


class _Evaluator:
    """Statement by statement, expression by expression."""

    def __init__(
        self,
        path: Path | None,
        defaults: Callable[[str], str | None],
        environment: Mapping[str, str],
    ):
        self.path = path
        self.defaults = defaults
        self.environment = environment
        self.known = Evaluated()
        self.work = 0
        self.depth = 0
        self.pending: list[str] = []

    def run(self, module: ast.Module) -> Evaluated:
        for statement in module.body:
            self._statement(statement)
        return self.known

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                return
            case ast.Import(names=names) if all(
                n.name in ("os", "os.path") and n.asname is None for n in names
            ):
                return
            case ast.Assign(targets=targets, value=value):
                result = self.value(value)
                for target in targets:
                    self._assign(target, result, node)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value), node)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                if name not in self.known.assignments:
                    raise self._error(node, f"{name} has no value yet")
                old = self.known.assignments[name].value
                self._assign(target, self._binary(node, op, old, self.value(value)), node)
            case _:
                raise self._not_understood(node)

    def _assign(self, target: ast.expr, value: Any, node: ast.stmt) -> None:
        if not isinstance(target, ast.Name):
            raise self._error(target, f"only a name can be given a value; {TRUST}")
        if target.id.startswith("__") or len(target.id) > MAX_NAME:
            shown = target.id[:MAX_NAME]
            raise self._error(target, f"{shown} cannot be given a value; remove this line")
        self.known.assignments[target.id] = Assignment(value, node.lineno)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression, whose size is counted."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(node, "is too deeply nested; write it in several steps")
        try:
            found = self._value(node)
            self._count(node, found)
        finally:
            self.depth -= 1
        return found

    def _value(self, node: ast.expr) -> Any:  # noqa: PLR0911  one answer per kind of node
        match node:
            case ast.Constant(value=value) if value is None or isinstance(
                value, (str, int, float, bool)
            ):
                return value
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.Dict(keys=keys, values=values) if all(
                isinstance(key, ast.Constant) for key in keys
            ):
                return {k.value: self.value(v) for k, v in zip(keys, values, strict=True)}  # type: ignore[union-attr]
            case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=operand):
                return self._signed(node, sign, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return (
                    self._sum(node)
                    if isinstance(op, ast.Add)
                    else self._binary(node, op, self.value(left), self.value(right))
                )
            case ast.JoinedStr(values=parts):
                return "".join(self._part(part) for part in parts)
            case ast.Subscript(value=ast.Attribute() as inner, slice=key) if (
                _dotted(inner) == "os.environ"
            ):
                return self._variable(node, [self.value(key)])
            case ast.Subscript(value=inner, slice=key):
                return self._item(node, self.value(inner), key)
            case ast.Call(func=function, args=arguments, keywords=[]) if not any(
                isinstance(a, ast.Starred) for a in arguments
            ):
                return self._call(node, _dotted(function), [self.value(a) for a in arguments])
            case _:
                raise self._not_understood(node)

    def _name(self, node: ast.expr, name: str) -> Any:
        if name == "__file__" and self.path is not None:
            return str(self.path.absolute())
        self.known.read.add(name)
        if name in self.known.assignments:
            return self.known.assignments[name].value
        expression = self.defaults(name)
        if expression is None or name in self.pending:
            shown = name[:MAX_NAME]
            raise self._error(node, f"{shown} has no value here; give it one in a line above")
        self.pending.append(name)
        try:
            return self.value(ast.parse(expression, mode="eval").body)
        finally:
            self.pending.pop()

    def _signed(self, node: ast.expr, sign: ast.unaryop, value: Any) -> Any:
        if not _is_number(value):
            raise self._error(node, "only a number can have a sign")
        return -value if isinstance(sign, ast.USub) else value

    def _sum(self, node: ast.BinOp) -> Any:
        """A sum of many parts, of which each is one deeper in the tree than the next."""
        parts: list[tuple[ast.expr, ast.expr]] = []
        first: ast.expr = node
        while isinstance(first, ast.BinOp) and isinstance(first.op, ast.Add):
            parts.append((first, first.right))
            first = first.left
        total = self.value(first)
        for place, part in reversed(parts):
            total = self._binary(place, ast.Add(), total, self.value(part))
            self._count(place, total)
        return total

    def _binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        numbers = _is_number(left) and _is_number(right)
        try:
            if isinstance(op, ast.Pow) and numbers:
                return self._power(node, left, right)
            if isinstance(op, ast.Mult) and not numbers:
                return self._repeated(node, left, right)
            if isinstance(op, ast.Mod) and isinstance(left, str):
                return self._formatted(node, left, right)
            joined = isinstance(op, ast.Add) and any(
                isinstance(left, kind) and isinstance(right, kind) for kind in (str, list, tuple)
            )
            if type(op) in _ARITHMETIC and (numbers or joined):
                return self._finite(node, _ARITHMETIC[type(op)](left, right))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise self._error(node, f"cannot be calculated ({error})") from None
        raise self._error(
            node, f"{_kind(left)} and {_kind(right)} cannot be put together like this; {TRUST}"
        )

    def _power(self, node: ast.AST, left: Any, right: Any) -> Any:
        whole = isinstance(left, int) and isinstance(right, int)
        if whole and left.bit_length() * abs(right) > MAX_BITS:
            raise self._error(node, "the number is too large")
        found = left**right
        if isinstance(found, complex):
            raise self._error(node, "the number is complex")
        return self._finite(node, found)

    def _finite(self, node: ast.AST, value: Any) -> Any:
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self._error(node, "the number is too large")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, "the number is not finite")
        return value

    def _repeated(self, node: ast.AST, left: Any, right: Any) -> Any:
        what, times = (left, right) if isinstance(left, (str, list, tuple)) else (right, left)
        whole = isinstance(times, int) and not isinstance(times, bool)
        if not isinstance(what, (str, list, tuple)) or not whole:
            raise self._error(node, f"{_kind(left)} cannot be multiplied by {_kind(right)}")
        if times > MAX_SIZE or _size(what, MAX_SIZE) * times > MAX_SIZE:
            raise self._error(node, f"is longer than {MAX_SIZE}; that is no configuration")
        return what * times

    def _formatted(self, node: ast.AST, text: str, values: Any) -> str:
        rest = _FORMAT.sub("", text)
        wide = any(int(n) > MAX_WIDTH for pair in _FORMAT.findall(text) for n in pair if n)
        simple = values if isinstance(values, tuple) else (values,)
        if "%" in rest or wide or not all(isinstance(v, (str, int, float)) for v in simple):
            raise self._error(node, f"this format is not understood; {TRUST}")
        return str(text % values)

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        if not isinstance(part, ast.FormattedValue):
            raise self._not_understood(part)
        value = self.value(part.value)
        if part.conversion not in (-1, ord("s")) or not isinstance(value, (str, int, float)):
            raise self._error(part, f"this f-string is not understood; {TRUST}")
        specification = ""
        if isinstance(part.format_spec, ast.JoinedStr):
            if not all(isinstance(p, ast.Constant) for p in part.format_spec.values):
                raise self._error(part, f"this f-string is not understood; {TRUST}")
            specification = "".join(str(getattr(p, "value", "")) for p in part.format_spec.values)
        if any(int(n) > MAX_WIDTH for n in re.findall(r"\d+", specification)):
            raise self._error(part, "this f-string makes too long a text")
        try:
            return format(value, specification)
        except ValueError as error:
            raise self._error(part, f"cannot be formatted ({error})") from None

    def _item(self, node: ast.expr, value: Any, key: ast.expr) -> Any:
        if isinstance(key, ast.Slice):
            bounds = [
                None if b is None else self.value(b) for b in (key.lower, key.upper, key.step)
            ]
            if not all(b is None or isinstance(b, int) for b in bounds):
                raise self._error(node, "only whole numbers can stand here")
            wanted: Any = slice(*bounds)
        else:
            wanted = self.value(key)
        try:
            if isinstance(value, (str, list, tuple, dict)):
                return value[wanted]
        except (LookupError, TypeError, ValueError) as error:
            raise self._error(node, f"there is no such item ({str(error)[:MAX_NAME]})") from None
        raise self._error(node, f"{_kind(value)} has no items")

    def _call(self, node: ast.expr, name: str, arguments: list[Any]) -> Any:
        if name in ("os.environ.get", "os.getenv"):
            return self._variable(node, arguments)
        if name == "os.getcwd" and not arguments and self.path is not None:
            return str(self.path.absolute().parent)
        function = FUNCTIONS.get(name)
        if function is None:
            raise self._error(node, f"{name[:MAX_NAME] or 'this'}(…) is not called here; {TRUST}")
        try:
            return self._finite(node, function(*arguments))
        except (TypeError, ValueError, OverflowError) as error:
            raise self._error(node, f"{name}: {error}") from None

    def _variable(self, node: ast.expr, arguments: list[Any]) -> Any:
        match arguments:
            case [str() as name] if name in self.environment:
                return self.environment[name]
            case [str() as name, default]:
                return self.environment.get(name, default)
            case [str() as name]:
                raise self._error(
                    node, f"the environment has no variable {name}; set it, or write its value here"
                )
        raise self._error(node, "a variable of the environment has a name and perhaps a default")

    # ------------------------------------------------------------ limits and messages

    def _count(self, node: ast.AST, value: Any) -> None:
        size = _size(value, MAX_SIZE)
        self.work += size
        if size > MAX_SIZE:
            raise self._error(node, f"is longer than {MAX_SIZE}; that is no configuration")
        if self.work > MAX_WORK:
            raise self._error(node, "the file makes too much; that is no configuration")

    def _not_understood(self, node: ast.AST) -> InputError:
        what = WORDS.get(type(node).__name__, f"'{_source(node)}'")
        return self._error(
            node, f"{what} is not understood here, since the file is not executed; {TRUST}"
        )

    def _error(self, node: ast.AST, message: str) -> InputError:
        return InputError(message, path=self.path, line=getattr(node, "lineno", None))


def _size(value: Any, limit: int) -> int:
    """Characters and items, counted no further than a little above the limit."""
    total, todo = 0, [value]
    while todo and total <= limit:
        item = todo.pop()
        total += 1 + (len(item) if isinstance(item, str) else 0)
        if isinstance(item, (list, tuple, dict)):
            # Items of what is long already are counted at once.
            total += len(item) if len(item) > limit else 0
            todo += item.values() if isinstance(item, dict) else item
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    names = {str: "text", list: "a list", tuple: "a tuple", dict: "a table", bool: "a truth value"}
    return "None" if value is None else names.get(type(value), "a number")


def _dotted(node: ast.expr) -> str:
    """`os.path.join` of the tree; empty for anything else than names with dots."""
    names: list[str] = []
    while isinstance(node, ast.Attribute) and len(names) < 3:
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(names)])


def _source(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"….{node.attr[:MAX_NAME]}"
    return type(node).__name__.lower()
