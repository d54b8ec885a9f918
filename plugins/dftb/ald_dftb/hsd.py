"""The input format of DFTB+ (human-friendly structured data): reading it, and changing single statements.

    Name [unit] = value
    Name = Method { ... }
    Name { ... }

`#` begins a comment; names are the same in capital and small letters. Changes are made in the text, so that whatever
else a user wrote stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from ald_core.errors import InputError

AMENDMENTS = "+*?!/"
"""Before a name, they change an earlier statement."""
DEEPEST = 60


@attrs.frozen(eq=False)
class Node:
    """A statement, a block of statements, or a line of numbers (without a name)."""

    name: str
    unit: str
    method: str
    """`Fermi` in `Filling = Fermi { ... }`"""
    value: str
    """Of a statement without a block; or the line of numbers"""
    children: tuple[Node, ...]
    start: int
    end: int
    """Characters of the text"""
    body: tuple[int, int] | None
    """Characters between the braces of a block"""
    line: int

    def find(self, *names: str) -> Node | None:
        """The statement with this name, in the block with the name before it, and so on."""
        node: Node | None = self
        for name in names:
            if node is None:
                return None
            node = next((c for c in node.children if c.name.lower() == name.lower()), None)
        return node

    @property
    def words(self) -> list[str]:
        """The value in words, without quotation marks."""
        return [word.strip("\"'") for word in self.value.split()]

    @property
    def is_true(self) -> bool:
        """It says `Yes`."""
        return self.value.strip("\"' ").lower() in {"yes", "true", "1", ".true."}

    def walk(self) -> Iterator[Node]:
        """All statements in it, in order."""
        for child in self.children:
            yield child
            yield from child.walk()


def parse(text: str, path: Path | str | None = None) -> Node:
    """The statements of a text; InputError for braces, quotation marks or units without an end."""
    reader = _Reader(text, path)
    children = reader.statements(0)
    return Node("", "", "", "", children, 0, len(text), (0, len(text)), 1)


class _Reader:
    def __init__(self, text: str, path: Path | str | None):
        self.text, self.path, self.at = text, path, 0
        self._line, self._counted = 1, 0

    def error(self, fault: str, cure: str, at: int | None = None) -> InputError:
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        return InputError(fault, path=self.path, line=line, cure=cure)

    def statements(self, depth: int) -> tuple[Node, ...]:
        if depth > DEEPEST:
            raise self.error("blocks in blocks, too deep", "correct the braces")
        found: list[Node] = []
        while True:
            self._skip()
            if self.at == len(self.text):
                if depth:
                    raise self.error("a block has no end", "add the missing }")
                return tuple(found)
            if self.text[self.at] == "}":
                if not depth:
                    raise self.error("a } without a {", "remove it, or add the {")
                return tuple(found)
            found.append(self._statement(depth))

    def _skip(self) -> None:
        """Go to the next character that means something."""
        text = self.text
        while self.at < len(text) and (text[self.at].isspace() or text[self.at] in ";#"):
            if text[self.at] == "#":
                newline = text.find("\n", self.at)
                self.at = len(text) if newline < 0 else newline
            else:
                self.at += 1

    def _line_of(self, at: int) -> int:
        """Of a place that is not before the last one that was asked for."""
        self._line += self.text.count("\n", self._counted, at)
        self._counted = at
        return self._line

    def _until(self, ends: str) -> str:
        """The text up to one of these characters, outside quotation marks and brackets."""
        start, text = self.at, self.text
        while self.at < len(text) and text[self.at] not in ends:
            closing = {'"': '"', "'": "'", "[": "]"}.get(text[self.at])
            if closing is not None:
                end = text.find(closing, self.at + 1)
                if end < 0 or "\n" in text[self.at : end]:
                    raise self.error(f"a {text[self.at]} without an end", f"add the {closing}")
                self.at = end
            self.at += 1
        return text[start : self.at].strip()

    def _statement(self, depth: int) -> Node:
        text, start = self.text, self.at
        line = self._line_of(start)
        head = self._until("={}\n;#")
        if self.at < len(text) and text[self.at] == "=":
            self.at += 1
            while self.at < len(text) and text[self.at] in " \t\r\n":
                self.at += 1
            rest = self._until("{}\n;#")
        elif self.at < len(text) and text[self.at] == "{" and head:
            rest = ""
        else:
            if not head:
                raise self.error("a block without a name", "give it one, or remove it", start)
            return Node("", "", "", head, (), start, self._end(start), None, line)
        name, _, unit = head.partition("[")
        name = name.strip()
        if not name:
            raise self.error("a value without a name", "give it one, or remove it", start)
        if name[0] in AMENDMENTS:
            fault = f"{name}: statements that change earlier ones are not understood"
            raise self.error(fault, "write it into the block that it changes", start)
        unit = unit.rstrip().removesuffix("]").strip()
        if self.at < len(text) and text[self.at] == "{":
            self.at += 1
            first = self.at
            children = self.statements(depth + 1)
            body = (first, self.at)
            self.at += 1
            return Node(name, unit, rest, "", children, start, self.at, body, line)
        return Node(name, unit, "", rest, (), start, self._end(start), None, line)

    def _end(self, start: int) -> int:
        """Of a statement without a block: blanks before a comment are none of it."""
        return start + len(self.text[start : self.at].rstrip())


def with_statement(text: str, blocks: tuple[str, ...], name: str, statement: str) -> str:
    """The text with a statement put into a block, in the place of one with this name if there is one.

    A block that is not there is made, if it would not be in another one.
    """
    root = parse(text)
    old = root.find(*blocks, name)
    if old is not None:
        return text[: old.start] + statement + text[old.end :]
    block = root.find(*blocks)
    if block is not None and block.body is not None:
        indent = "  " * len(blocks)
        at = block.body[0]
        rest = text[at:]
        gap = "" if rest.lstrip(" \t\r").startswith("\n") or not blocks else "\n" + indent
        head = f"\n{indent}{statement}" if blocks else f"{statement}\n"
        return text[:at] + head + gap + rest
    if len(blocks) > 1:
        raise InputError(f"there is no block {' in '.join(reversed(blocks))}; add it")
    return f"{text.rstrip()}\n{blocks[0]} {{\n  {statement}\n}}\n"


def without(text: str, *names: str) -> str:
    """The text without a statement, if it is there."""
    node = parse(text).find(*names)
    return text if node is None else text[: node.start] + text[node.end :]
