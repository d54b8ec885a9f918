"""Typed access to the values of a control file."""

from pathlib import Path

from ald_chimes_lsq.formats.control_lines import END
from ald_chimes_lsq.formats.tokens import Place, parse_boolean, parse_integer, parse_number
from ald_chimes_md.keywords import Keyword
from ald_core.errors import InputError


class Values:
    """Typed access to the keywords of one file, with messages that name line, value and cure."""

    def __init__(self, keywords: dict[str, Keyword], path: Path | str | None):
        self._keywords = keywords
        self._path = path
        self._asked: set[str] = set()

    def error(self, key: str, fault: str, *, cure: str) -> InputError:
        """An InputError about the value of a key, which the file must have."""
        words = self._keywords[key].words
        given = f"{key} '{' '.join(words)}'" if words else key
        return self._place(key).error(f"{given}: {fault}", cure=cure)

    def given(self, key: str) -> bool:
        """True if the file has the key."""
        self._asked.add(key)
        return key in self._keywords

    def words(self, key: str) -> tuple[str, ...]:
        """The words of the value, at least one."""
        if not self.given(key):
            raise self._place(END).error(
                f"{key} is missing", cure=f"add '# {key} #' and its value above this line"
            )
        words = self._keywords[key].words
        if not words:
            raise self.error(key, "the value is missing", cure="give it on the line below the key")
        return words

    def word(self, key: str) -> str:
        """The value, which must be one word."""
        words = self.words(key)
        if len(words) > 1:
            raise self.error(
                key, "one word is expected", cure="leave out the others, or put '!' before them"
            )
        return words[0]

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """The value, which must be one of some words."""
        if default is not None and not self.given(key):
            return default
        word = self.word(key)
        if word not in allowed:
            raise self.error(key, "no such choice", cure=f"choose one of {', '.join(allowed)}")
        return word

    def number(
        self, key: str, *, minimum: float | None = None, default: float | None = None
    ) -> float:
        """The value as a finite number."""
        if default is not None and not self.given(key):
            return default
        return self.parse_number(key, self.word(key), minimum)

    def parse_number(self, key: str, word: str, minimum: float | None = None) -> float:
        """One word of a value as a finite number not below the minimum."""
        value = parse_number(word, key, self._place(key))
        if minimum is not None and value < minimum:
            raise self.error(
                key, f"at least {minimum:g} is expected", cure=f"write {minimum:g} or more"
            )
        return value

    def integer(self, key: str, *, minimum: int | None = None) -> int:
        """The value as a whole number."""
        return self.parse_integer(key, self.word(key), minimum)

    def parse_integer(self, key: str, word: str, minimum: int | None = None) -> int:
        """One word of a value as a whole number not below the minimum."""
        return parse_integer(word, key, self._place(key), minimum=minimum)

    def boolean(self, key: str, *, default: bool) -> bool:
        """The value as true or false, in any of the spellings of ChIMES."""
        if not self.given(key):
            return default
        return self.truth(key, self.word(key))

    def truth(self, key: str, word: str) -> bool:
        """One word of a value as true or false."""
        return parse_boolean(word, key, self._place(key))

    def _place(self, key: str) -> Place:
        return Place(self._path, self._keywords[key].line)

    def places(self) -> dict[str, Place]:
        """Where each value stands."""
        return {key: self._place(key) for key in self._keywords}

    def unknown(self, meaningless: frozenset[str]) -> tuple[str, ...]:
        """Keys of the file that nothing asked for, but those that are known to mean nothing."""
        return tuple(k for k in self._keywords if k not in {*self._asked, *meaningless, END})
