"""Numbers and words of text files, read strictly; every complaint names file, line, token and cure."""

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from ald_core.errors import InputError

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_RESULT = re.compile(r"[+-]?(nan|inf|infinity)|\*+", re.IGNORECASE)
"""What programs write that have no number."""
MAX_NUMBER = 1.0e100
"""In any unit; larger ones overflow when they are multiplied."""
MAX_CUTOFF = 1000.0
"""Å"""
_TRUE = frozenset({"true", "True", "TRUE", "T", "t"})
_FALSE = frozenset({"false", "False", "FALSE", "F", "f"})


@attrs.frozen
class Place:
    """Where a token stands, for messages."""

    path: Path | str | None = None
    line: int | None = None

    def error(self, fault: str, *, cure: str = "") -> InputError:
        """Make the exception that complains about this place."""
        return InputError(fault, path=self.path, line=self.line, cure=cure)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell in one sentence that a file cannot be opened or read; for a `with` around both."""
    if "\0" in str(path):
        raise InputError(
            "a file name cannot have a NUL byte", path=repr(str(path)), cure="correct the name"
        )
    try:
        yield
    except FileNotFoundError:
        raise InputError("no such file", path=path, cure="write it, or correct the name") from None
    except OSError as error:
        shown = path if len(path.name) < 256 else path.with_name(f"{path.name[:40]}…")
        raise InputError(
            f"cannot be read ({error.strerror})", path=shown, cure="give a file that can be read"
        ) from None


def read_text(path: Path) -> str:
    """Read a text file; InputError when it is missing, a folder, unreadable or not text."""
    with reading(path):
        content = path.read_bytes()
    return decode(content, Place(path, 1)).replace("\r\n", "\n")


def decode(content: bytes, place: Place) -> str:
    """Text from bytes, which begin in the line of `place`; InputError with the line of what is no text."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = None if place.line is None else place.line + content.count(b"\n", 0, error.start)
        raise Place(place.path, line).error(
            f"this is not a text file (byte 0x{content[error.start]:02x} is not valid UTF-8)",
            cure="give the text file that belongs here",
        ) from None


def parse_integer(
    token: str, what: str, place: Place, *, minimum: int | None = None, cure: str = ""
) -> int:
    """Read a decimal integer of at most nine digits.

    Args:
        token: the word.
        what: is read, for messages.
        place: of the word.
        minimum: smaller ones are refused.
        cure: what to write instead; by default, such a number.
    """
    least = "" if minimum is None else f", {minimum} or more"
    cure = cure or f"write a whole number of at most 9 digits{least}"
    if not _INTEGER.fullmatch(token):
        raise place.error(f"{what} must be an integer, found '{token}'", cure=cure)
    value = int(token)
    if minimum is not None and value < minimum:
        raise place.error(f"{what} must be at least {minimum}, found {value}", cure=cure)
    return value


def parse_number(token: str, what: str, place: Place) -> float:
    """Read a finite decimal number; neither `nan`, `inf`, nor Fortran's `1.0D0`."""
    value = float(token) if _NUMBER.fullmatch(token) else math.nan
    if not math.isfinite(value):
        raise place.error(
            f"{what} must be a finite number, found '{token}'", cure=_number_cure(token)
        )
    if abs(value) > MAX_NUMBER:
        raise place.error(
            f"{what} is too large, found '{token}'", cure=f"write one of at most {MAX_NUMBER:g}"
        )
    return value


def _number_cure(token: str) -> str:
    if _NUMBER.fullmatch(with_e := re.sub("[dD]", "e", token, count=1)):
        return f"write {with_e}" if with_e != token else f"write one of at most {MAX_NUMBER:g}"
    if _NO_RESULT.fullmatch(token):
        return "repeat or leave out the calculation that gave it"
    return "write a decimal number such as 1.5 or 2.0e-3"


def check_transform(
    transform: str, rmin: float, rmax: float, morse_lambda: float, place: Place
) -> None:
    """Refuse cutoffs and a length between which the distance transform makes no difference that numbers can hold.

    Args:
        transform: MORSE, INVRSE_R or NONE.
        rmin: S_MINIM, Å.
        rmax: S_MAXIM, Å.
        morse_lambda: MORSE_LAMBDA, Å, not zero.
        place: of the pair.
    """
    if rmax > MAX_CUTOFF:
        raise place.error(
            f"S_MAXIM must be at most {MAX_CUTOFF:g} Å, found {rmax:g}", cure="write it in Å"
        )
    if transform == "MORSE":
        ends = [math.exp(-r / morse_lambda) for r in (rmin, rmax)]
        reason = f"MORSE_LAMBDA {morse_lambda:g} Å"
    elif transform == "INVRSE_R":
        ends = [1.0 / max(r, 1e-300) for r in (rmin, rmax)]
        reason = f"S_MINIM {rmin:g} Å"
    else:
        return
    if ends[0] > 1e100 or ends[0] < 1e-100 or (rmin < rmax and 1.0 - ends[1] / ends[0] < 1e-9):
        raise place.error(
            f"{reason} makes the {transform} transform the same for all distances from {rmin:g} to {rmax:g} Å",
            cure="write about a bond length",
        )


def parse_boolean(token: str, what: str, place: Place) -> bool:
    """Read a truth value in one of the spellings that the ChIMES programs know."""
    if token in _TRUE:
        return True
    if token in _FALSE:
        return False
    raise place.error(f"{what} is neither true nor false: '{token}'", cure="write true or false")


def parse_word(token: str, what: str, choices: Iterable[str], place: Place) -> str:
    """Check that a word is one of a few."""
    allowed = list(choices)
    if token not in allowed:
        cure = f"write {allowed[0]}" if len(allowed) == 1 else f"write one of {', '.join(allowed)}"
        raise place.error(f"{what} '{token}' is unknown", cure=cure)
    return token


def parse_fraction(token: str, place: Place) -> float:
    """Read the fraction φ of the Tersoff cutoff, 0 < φ <= 1."""
    fraction = parse_number(token, "the fraction of TERSOFF", place)
    if not 0.0 < fraction <= 1.0:
        raise place.error(
            f"the fraction of TERSOFF must lie between 0 and 1, found {token}",
            cure="write for example 'TERSOFF 0.5'",
        )
    return fraction
