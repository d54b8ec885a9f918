"""Numbers and words of text files, read strictly; every complaint names file, line, token and cure."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from ald_core.errors import InputError

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAX_NUMBER = 1.0e100
"""In any unit; larger ones overflow when they are multiplied."""
MAX_CUTOFF = 1000.0
"""Å"""
_LONG = re.compile(r"\S{100,}")
_TRUE = frozenset({"true", "True", "TRUE", "T", "t"})
_FALSE = frozenset({"false", "False", "FALSE", "F", "f"})


@attrs.frozen
class Place:
    """Where a token stands, for messages."""

    path: Path | str | None = None
    line: int | None = None

    def error(self, message: str) -> InputError:
        """Make the exception that complains about this place; long and unprintable words are shown in short."""
        shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        shown = _LONG.sub(lambda found: f"{found[0][:40]}…", shown)
        return InputError(shown, path=self.path, line=self.line)


def read_text(path: Path) -> str:
    """Read a text file; InputError when it is missing, a folder, unreadable or not text."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError("no such file", path=path) from None
    except UnicodeDecodeError:
        raise InputError("this is not a text file (not valid UTF-8)", path=path) from None
    except OSError as error:
        shown = path if len(path.name) < 256 else path.with_name(f"{path.name[:40]}…")
        raise InputError(f"cannot be read ({error.strerror})", path=shown) from None
    except ValueError:
        raise InputError("a file name cannot have a NUL byte", path=repr(str(path))) from None
    return text.replace("\r\n", "\n")


def parse_integer(token: str, what: str, place: Place, *, minimum: int | None = None) -> int:
    """Read a decimal integer of at most nine digits."""
    if not _INTEGER.fullmatch(token):
        raise place.error(f"{what} must be an integer, found '{token}'")
    value = int(token)
    if minimum is not None and value < minimum:
        raise place.error(f"{what} must be at least {minimum}, found {value}")
    return value


def parse_number(token: str, what: str, place: Place) -> float:
    """Read a finite decimal number; neither `nan`, `inf`, nor Fortran's `1.0D0`."""
    value = float(token) if _NUMBER.fullmatch(token) else math.nan
    if not math.isfinite(value):
        raise place.error(f"{what} must be a finite number, found '{token}'")
    if abs(value) > MAX_NUMBER:
        raise place.error(
            f"{what} is too large, found '{token}'; at most {MAX_NUMBER:g} is possible"
        )
    return value


def check_transform(
    transform: str, rmin: float, rmax: float, morse_lambda: float, place: Place
) -> None:
    """Refuse cutoffs and a length between which the distance transform makes no difference that numbers can hold."""
    if rmax > MAX_CUTOFF:
        raise place.error(f"S_MAXIM must be at most {MAX_CUTOFF:g} Å, found {rmax:g}")
    if transform == "MORSE":
        ends = [math.exp(-r / morse_lambda) for r in (rmin, rmax)]
        cure = f"MORSE_LAMBDA {morse_lambda:g} Å"
    elif transform == "INVRSE_R":
        ends = [1.0 / max(r, 1e-300) for r in (rmin, rmax)]
        cure = f"S_MINIM {rmin:g} Å"
    else:
        return
    if ends[0] > 1e100 or ends[0] < 1e-100 or (rmin < rmax and 1.0 - ends[1] / ends[0] < 1e-9):
        raise place.error(
            f"{cure} makes the {transform} transform the same for all distances from {rmin:g} to {rmax:g} Å; "
            "use about a bond length"
        )


def parse_boolean(token: str, what: str, place: Place) -> bool:
    """Read a truth value in one of the spellings that the ChIMES programs know."""
    if token in _TRUE:
        return True
    if token in _FALSE:
        return False
    raise place.error(f"{what} must be true or false, found '{token}'")


def parse_word(token: str, what: str, choices: Iterable[str], place: Place) -> str:
    """Check that a word is one of a few."""
    allowed = list(choices)
    if token not in allowed:
        raise place.error(f"{what} '{token}' is unknown; it must be one of: {', '.join(allowed)}")
    return token


def parse_fraction(token: str, place: Place) -> float:
    """Read the fraction φ of the Tersoff cutoff, 0 < φ <= 1."""
    fraction = parse_number(token, "the fraction of TERSOFF", place)
    if not 0.0 < fraction <= 1.0:
        raise place.error(f"the fraction of TERSOFF must lie between 0 and 1, found {token}")
    return fraction
