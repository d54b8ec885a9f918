"""CP2K inputs as trees of sections; preprocessing as in the CP2K manual (`@SET`, `@INCLUDE`, `@IF`, `${…}`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import attrs

from ald_core.errors import InputError

MAX_DEPTH = 20
"""Of files that include files"""
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?:-([^}]*))?\}|\$([A-Za-z_]\w*)")
_UNTIL_COMMENT = re.compile(r"""(?:"[^"]*"|'[^']*'|[^!#"']|["'])*?(?=[!#]|$)""")
TRUE = {"T", "TRUE", ".T.", ".TRUE.", "ON", "YES", "1"}

Include = Callable[[str], tuple[str, str]]
"""Text of a file by the name in the input, and its path for messages; raises InputError"""


@attrs.frozen
class Line:
    """A line after preprocessing, and where it comes from."""

    text: str
    path: str
    number: int

    def fault(self, message: str, cure: str = "") -> InputError:
        """An error at this line."""
        return InputError(message, path=self.path, line=self.number, cure=cure)


@attrs.define
class Section:
    """A section: its parameter, its keywords as they are written, and the sections in it."""

    name: str
    parameter: str = ""
    lines: list[str] = attrs.field(factory=list)
    sections: list[Section] = attrs.field(factory=list)

    @property
    def active(self) -> bool:
        """Whether a section that can be switched off is on."""
        return not self.parameter or self.parameter.upper() in TRUE

    def find(self, *names: str) -> Section | None:
        """The section at a path of names; the first of several."""
        section: Section | None = self
        for name in names:
            if section is None:
                return None
            section = next((s for s in section.sections if s.name == name), None)
        return section

    def make(self, *names: str) -> Section:
        """The section at a path of names, new if it is not there."""
        section = self
        for name in names:
            found = section.find(name)
            if found is None:
                found = Section(name)
                section.sections.append(found)
            section = found
        return section

    def value(self, *keywords: str, default: str = "") -> str:
        """What follows a keyword, which may have several spellings."""
        for line in self.lines:
            words = line.split(None, 1)
            if words[0].upper() in keywords:
                return words[1] if len(words) > 1 else ""
        return default

    def put(self, value: object, *keywords: str) -> None:
        """Give a keyword a value, under its first spelling; what it had before is gone."""
        self.lines = [line for line in self.lines if line.split()[0].upper() not in keywords]
        self.lines.append(f"{keywords[0]} {value}")

    def drop(self, *names: str) -> None:
        """Remove all sections of these names."""
        self.sections = [section for section in self.sections if section.name not in names]

    def walk(self) -> Iterator[Section]:
        """This section and all in it."""
        yield self
        for section in self.sections:
            yield from section.walk()

    def text(self, indent: str = "") -> str:
        """What CP2K reads, without this section's own name."""
        found = "".join(f"{indent}{line}\n" for line in self.lines)
        for section in self.sections:
            head = f"&{section.name} {section.parameter}".rstrip()
            found += f"{indent}{head}\n{section.text(indent + '  ')}{indent}&END {section.name}\n"
        return found


def parse(lines: list[Line]) -> Section:
    """The tree of a preprocessed input; its root has no name."""
    open_sections = [Section("")]
    for line in lines:
        if not line.text.startswith("&"):
            open_sections[-1].lines.append(line.text)
            continue
        name, _, parameter = line.text[1:].replace("\t", " ").partition(" ")
        if name.upper() != "END":
            section = Section(name.upper(), parameter.strip())
            open_sections[-1].sections.append(section)
            open_sections.append(section)
            continue
        closed = open_sections.pop() if len(open_sections) > 1 else None
        if closed is None:
            raise line.fault("'&END' ends no section", "remove it, or open the section")
        if parameter.strip() and parameter.split()[0].upper() != closed.name:
            raise line.fault(
                f"'{line.text}' ends section {closed.name}", f"write &END {closed.name} there"
            )
    if len(open_sections) > 1:
        name = open_sections[-1].name
        raise lines[-1].fault(f"section {name} has no end", f"add &END {name}")
    return open_sections[0]


def preprocess(name: str, include: Include) -> list[Line]:
    """All lines of an input that say something, with files included and variables replaced."""
    return _Preprocessor(include).read(name, None)


@attrs.define
class _Preprocessor:
    """Variables are those of one reading, as CP2K's `@SET` works on all lines after it."""

    include: Include
    variables: dict[str, str] = attrs.field(factory=dict)
    depth: int = 0

    def read(self, name: str, asked: Line | None) -> list[Line]:
        if self.depth > MAX_DEPTH and asked is not None:
            raise asked.fault("files include each other without end", "remove one @INCLUDE")
        try:
            text, path = self.include(name)
        except InputError as error:
            raise error if asked is None else asked.fault(error.reason) from error
        self.depth += 1
        found: list[Line] = []
        skipping: Line | None = None
        for line in _joined(text, path):
            directive = line.text.split()[0].upper()
            if directive == "@ENDIF":
                skipping = None
            elif skipping is not None:
                continue
            elif directive == "@IF":
                expanded = self.expand(line)
                if not _holds(expanded.text.split(None, 1)[1:]):
                    skipping = line
            else:
                found += self.understand(self.expand(line), directive)
        if skipping is not None:
            raise skipping.fault("'@IF' has no '@ENDIF'", "add it")
        self.depth -= 1
        return found

    def understand(self, line: Line, directive: str) -> list[Line]:
        """The lines that one stands for."""
        words = line.text.split(None, 2)
        if directive == "@SET":
            if len(words) < 2:
                raise line.fault("'@SET' names no variable", "write @SET NAME value")
            self.variables[words[1].upper()] = words[2] if len(words) > 2 else ""
            return []
        if directive == "@INCLUDE":
            if len(words) < 2:
                raise line.fault("'@INCLUDE' names no file", "write @INCLUDE file")
            name = line.text.split(None, 1)[1].strip("'\"")
            return self.read(name, line)
        if directive == "@PRINT":
            return []
        if directive.startswith("@"):
            raise line.fault(f"'{directive}' is not understood", "write out what it stands for")
        return [line]

    def expand(self, line: Line) -> Line:
        def value(found: re.Match[str]) -> str:
            known = self.variables.get((found[1] or found[3]).upper(), found[2])
            if known is None:
                raise line.fault(f"the variable {found[0]} has no value", "add an @SET before")
            return known

        return attrs.evolve(line, text=_VARIABLE.sub(value, line.text))


def _joined(text: str, path: str) -> Iterator[Line]:
    """Lines without comments, those that end with a backslash with the next."""
    begun = ""
    for number, raw in enumerate(text.splitlines(), 1):
        match = _UNTIL_COMMENT.match(raw)
        line = (raw if match is None else match[0]).strip()
        if line.endswith("\\"):
            begun += line[:-1] + " "
        elif begun or line:
            yield Line((begun + line).strip(), path, number)
            begun = ""


def _holds(expression: list[str]) -> bool:
    """Whether the lines after an `@IF` count."""
    text = expression[0].strip() if expression else ""
    for sign, equal in (("==", True), ("/=", False)):
        if sign in text:
            left, _, right = text.partition(sign)
            return (left.strip() == right.strip()) is equal
    return text not in {"", "0"}
