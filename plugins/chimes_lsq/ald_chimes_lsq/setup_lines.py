"""In which lines a control file says what."""

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from ald_chimes_lsq.formats.control_lines import Row
from ald_chimes_lsq.formats.setup_sections import Sections, Table, read_sections
from ald_chimes_lsq.formats.tokens import read_text


@attrs.frozen
class SetupLines:
    """Lines of `fm_setup.in`, for messages; None for what it does not say."""

    path: Path
    sections: Sections

    @classmethod
    def read(cls, path: Path) -> "SetupLines":
        """Find the lines of a file that can be read."""
        return cls(path, read_sections(read_text(path), path))

    def key(self, name: str) -> int | None:
        """The value of a key."""
        row = self.sections.keys.get(name)
        return None if row is None else row.line

    def atom_type(self, name: str) -> int | None:
        """A row of TYPEIDX."""
        return _line(self.sections.types, lambda row: row.words[1] == name)

    def pair(self, names: Sequence[str]) -> int | None:
        """A row of PAIRIDX."""
        return _line(self.sections.pairs, lambda row: set(row.words[1:3]) == set(names))

    def exclusion(self, names: Sequence[str]) -> int | None:
        """A line after EXCLUDE."""
        for exclusion in self.sections.exclusions:
            if sorted(exclusion.names) == sorted(names):
                return exclusion.line
        return None

    def place(self, line: int | None) -> str:
        """How a message begins that complains about a line."""
        return f"{self.path}: " if line is None else f"{self.path}, line {line}: "


def _line(table: Table | None, wanted: Callable[[Row], bool]) -> int | None:
    return next((row.line for row in table.rows if wanted(row)), None) if table else None
