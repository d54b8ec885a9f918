"""A position in the lines of a parameter file."""

from pathlib import Path

import attrs

from ald_chimes_lsq.formats.tokens import Place


@attrs.define
class Cursor:
    """A position in the lines of a file; blank lines and comments are stepped over."""

    path: Path
    lines: list[tuple[int, str]]
    """Line number and stripped text of every line that says something."""
    position: int = 0
    comments: tuple[str, ...] = ()

    @classmethod
    def over(cls, text: str, path: Path) -> "Cursor":
        """Start at the first line of a text that is neither blank nor a comment."""
        raw = text.split("\n")
        lines = [(n, stripped) for n, line in enumerate(raw, start=1) if (stripped := line.strip())]
        lines = [(n, line) for n, line in lines if not line.startswith("!")]
        first = lines[0][0] if lines else 1
        return cls(path, lines, comments=tuple(raw[: first - 1]))

    @property
    def place(self) -> Place:
        """Where the current line stands."""
        if self.position < len(self.lines):
            return Place(self.path, self.lines[self.position][0])
        return self.end

    @property
    def end(self) -> Place:
        """Where the last line stands."""
        return Place(self.path, self.lines[-1][0] if self.lines else None)

    @property
    def line(self) -> str:
        """The current line; InputError at the end of the file."""
        if self.position >= len(self.lines):
            raise self.place.error(
                "the file ends too early; it is incomplete", cure="write or copy it again"
            )
        return self.lines[self.position][1]

    def at(self, phrase: str) -> bool:
        """Whether the current line begins with a phrase."""
        return self.position < len(self.lines) and self.line.startswith(phrase)

    def skip(self) -> None:
        """Go to the next line."""
        self.position += 1

    def expect(self, phrase: str) -> tuple[list[str], Place]:
        """Take a line that must begin with a phrase; the words after it and its place."""
        place, line = self.place, self.line
        if not line.startswith(phrase):
            raise place.error(
                f"expected '{phrase}', found '{line[:60]}'",
                cure=f"put the line that begins with '{phrase}' here",
            )
        self.skip()
        return line[len(phrase) :].split(), place

    def row(self, n_words: int, what: str) -> tuple[list[str], Place]:
        """Take a line that must have a number of words."""
        place, words = self.place, self.line.split()
        if len(words) != n_words:
            raise place.error(
                f"expected {what}, found '{' '.join(words)[:60]}'",
                cure=f"write these {n_words} words",
            )
        self.skip()
        return words, place

    def finish(self) -> None:
        """Check that the file ends here, with ENDFILE."""
        words, place = self.expect("ENDFILE")
        if words:
            raise place.error(
                f"ENDFILE stands alone on its line, found '{words[0]}' after it", cure="remove that"
            )
        if self.position < len(self.lines):
            raise self.place.error("there is text after ENDFILE", cure="remove it")
