"""The control file of a ChIMES molecular dynamics run, `run_md.in`.

Keys, values and defaults are those of ChIMES MD. What is not implemented is refused with its name
and line, never ignored; keys that mean nothing are collected in `Control.ignored`.
"""

from pathlib import Path
from typing import Literal

import attrs

from ald_chimes_lsq.basis import InnerRule
from ald_chimes_lsq.tokens import Place, parse_boolean, parse_integer, parse_number, read_text
from ald_chimes_md.keywords import Keyword, read_keywords
from ald_core.errors import InputError

TrajectoryFormat = Literal["GEN", "XYZ", "XYZF_FORCE"]

ENSEMBLES = ("NVE", "NVT-MTK")
OTHER_ENSEMBLES = ("NVT-SCALE", "NVT-BEREND", "NPT-BEREND", "NPT-BEREND-ANISO", "NPT-MTK")
IGNORED_KEYS = frozenset({"USEKILL", "SLFCNST", "SERIAL_CHIMES", "FITSTRS", "FITENER", "FRQRSTR"})
"""Keys of ChIMES MD that change nothing here: they choose its algorithms or do nothing at all."""


@attrs.frozen
class Ensemble:
    """What is held constant, and how."""

    kind: Literal["NVE", "NVT-MTK"] = "NVE"
    thermostat_time: float = 0.0
    """fs"""


@attrs.frozen(kw_only=True)
class Control:
    """The settings of one run, in the units of the file (K, fs, Å)."""

    temperature: float
    timestep: float
    steps: int
    """Number of configurations: the initial one is step 1."""
    parameter_file: str
    coordinate_file: str
    velocities: Literal["READ", "GEN"]
    ensemble: Ensemble
    trajectory_interval: int
    energy_interval: int
    seed: int | None = None
    """Never None if velocities are generated."""
    replicate: int = 0
    """Copies of the cell added along each axis."""
    inner: InnerRule | None = None
    """None: the rule of the parameter file."""
    wrap_output: bool = False
    with_offsets: bool = True
    """Reported energies contain the energy offsets of the atom types."""
    temperature_check: bool = True
    trajectory_format: TrajectoryFormat = "GEN"
    force_interval: int = 0
    """0: no force files."""
    velocity_interval: int = 0
    """0: no velocity file."""
    contact_files: bool = False
    ignored: tuple[str, ...] = ()
    """Keys of the file that mean nothing, in file order."""


def read_control(path: Path | str) -> Control:
    """Read a `run_md.in`; raises InputError naming line, value and cure."""
    return parse_control(read_text(Path(path)), path)


def parse_control(text: str, path: Path | str | None = None) -> Control:
    """The settings in the text of a `run_md.in`; `path` is only named in messages."""
    values = _Values(read_keywords(text, path), path)
    _refuse_unsupported(values)
    velocities = values.choice("VELINIT", ("GEN", "READ", "RESTART"))
    if velocities == "RESTART":
        raise values.error("VELINIT", "RESTART is not implemented; use READ or GEN")
    layers, replicate = _layers(values)
    temperature = values.number("TEMPERA", minimum=0.0)
    steps = values.integer("N_MDSTP", minimum=1)
    timestep = values.number("TIMESTP", minimum=0.0)
    if timestep == 0.0 and steps > 1:
        raise values.error("TIMESTP", "a run of several steps needs a time step above 0 fs")
    ensemble = _ensemble(values)
    if ensemble.kind != "NVE" and temperature == 0.0 and steps > 1:
        raise values.error("TEMPERA", "a thermostat needs a temperature above 0 K")
    trajectory_interval = _trajectory_interval(values)
    return Control(
        temperature=temperature,
        timestep=timestep,
        steps=steps,
        parameter_file=values.word("PRMFILE"),
        coordinate_file=_coordinate_file(values),
        velocities="GEN" if velocities == "GEN" else "READ",
        ensemble=ensemble,
        trajectory_interval=trajectory_interval,
        energy_interval=values.integer("FRQENER", minimum=1),
        seed=_seed(values, needed=velocities == "GEN"),
        replicate=replicate,
        inner=_inner_rule(values),
        wrap_output=values.boolean("WRPCRDS", default=True) and layers == 0,
        with_offsets=values.boolean("ATMENER", default=True),
        temperature_check=values.number("CONVCUT", default=0.1) > 0.0,
        trajectory_format=_trajectory_format(values),
        force_interval=_force_interval(values, trajectory_interval),
        velocity_interval=_output_interval(values, "PRNTVEL", trajectory_interval),
        contact_files=values.boolean("PRNTBAD", default=False),
        ignored=values.unknown(),
    )


class _Values:
    """Typed access to the keywords of one file, with messages that name line, value and cure."""

    def __init__(self, keywords: dict[str, Keyword], path: Path | str | None):
        self._keywords = keywords
        self._path = path
        self._asked: set[str] = set()

    def error(self, key: str, message: str) -> InputError:
        """An InputError about the value of a key."""
        keyword = self._keywords.get(key)
        if keyword is None:
            return InputError(f"{key}: {message}", path=self._path)
        given = f"{key} '{' '.join(keyword.words)}'" if keyword.words else key
        return InputError(f"{given}: {message}", path=self._path, line=keyword.line)

    def given(self, key: str) -> bool:
        """True if the file has the key."""
        self._asked.add(key)
        return key in self._keywords

    def words(self, key: str) -> tuple[str, ...]:
        """The words of the value, at least one."""
        if not self.given(key):
            raise InputError(f"{key} is missing: add '# {key} #' and its value", path=self._path)
        words = self._keywords[key].words
        if not words:
            raise self.error(key, "the value is missing: give it on the line below the key")
        return words

    def word(self, key: str) -> str:
        """The value, which must be one word."""
        words = self.words(key)
        if len(words) > 1:
            raise self.error(key, "one word is expected")
        return words[0]

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """The value, which must be one of some words."""
        if default is not None and not self.given(key):
            return default
        word = self.word(key)
        if word not in allowed:
            raise self.error(key, f"choose one of {', '.join(allowed)}")
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
            raise self.error(key, f"at least {minimum:g} is expected")
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

    def unknown(self) -> tuple[str, ...]:
        """Keys of the file that nothing asked for."""
        return tuple(k for k in self._keywords if k not in self._asked | IGNORED_KEYS)


def _refuse_unsupported(values: _Values) -> None:
    for key in ("CMPRFRC", "SUBTFRC", "CHECKFRC", "FORDFTB"):
        if values.given(key) and values.truth(key, values.words(key)[0]):
            raise values.error(key, "not implemented; set it to false")
    for key in ("PRSCALC", "STRSCALC"):
        if values.choice(key, ("ANALYTICAL", "NUMERICAL"), "ANALYTICAL") == "NUMERICAL":
            raise values.error(key, "not implemented; use ANALYTICAL")
    if values.number("PENTHRS", default=-1.0) > 0.0:
        raise values.error("PENTHRS", "not implemented; leave it out or set it to -1")
    if values.given("USENEIG"):
        words = values.words("USENEIG")
        if values.truth("USENEIG", words[0]) and words[1:] not in {(), ("SMALL",)}:
            raise values.error("USENEIG", "use 'true', 'true SMALL' or 'false'")
    if values.given("PRESSUR"):
        values.number("PRESSUR")


def _seed(values: _Values, *, needed: bool) -> int | None:
    if not values.given("RNDSEED") and not needed:
        return None
    word = values.word("RNDSEED")
    if not (word.isdecimal() and int(word) < 2**32):
        raise values.error("RNDSEED", "a whole number from 0 to 4294967295 is expected")
    return int(word)


def _ensemble(values: _Values) -> Ensemble:
    words = values.words("CONSRNT")
    if "FREEZE" in words:
        raise values.error("CONSRNT", "FREEZE is not implemented; let all atoms move")
    if words[0] in OTHER_ENSEMBLES:
        raise values.error("CONSRNT", f"not implemented; choose one of {', '.join(ENSEMBLES)}")
    if words == ("NVE",):
        return Ensemble("NVE")
    if words[:2] == ("NVT-MTK", "HOOVER") and len(words) == 3:
        time = values.parse_number("CONSRNT", words[2])
        if time > 0.0:
            return Ensemble("NVT-MTK", time)
    raise values.error("CONSRNT", "use 'NVE', or 'NVT-MTK HOOVER t' with a time above 0 fs")


def _layers(values: _Values) -> tuple[int, int]:
    """Layers of ghost atoms (all images are always summed here) and copies of the cell."""
    if not values.given("NLAYERS"):
        return 0, 0
    words = values.words("NLAYERS")
    if len(words) == 1:
        return values.parse_integer("NLAYERS", words[0], 0), 0
    if len(words) == 3 and words[1] == "REPLICATE":
        copies = values.parse_integer("NLAYERS", words[2], 0)
        if copies > 100:
            raise values.error("NLAYERS", "more than 100 copies along each axis")
        return values.parse_integer("NLAYERS", words[0], 0), copies
    raise values.error("NLAYERS", "use 'n' or 'n REPLICATE m'")


def _coordinate_file(values: _Values) -> str:
    words = values.words("CRDFILE")
    if len(words) > 1:
        raise values.error("CRDFILE", "only the name of one coordinate file is implemented")
    return words[0]


def _trajectory_interval(values: _Values) -> int:
    given = [key for key in ("FRQDFTB", "FRQTRAJ") if values.given(key)]
    if not given:
        values.words("FRQTRAJ")
    intervals = [values.integer(key, minimum=1) for key in given]
    if intervals[0] != intervals[-1]:
        raise values.error("FRQTRAJ", f"FRQDFTB says {intervals[0]}; keep one of the two")
    return intervals[0]


def _trajectory_format(values: _Values) -> TrajectoryFormat:
    match values.choice("TRAJEXT", ("GEN", "XYZ", "XYZF_FORCE", "LAMMPSTRJ"), "GEN"):
        case "GEN":
            return "GEN"
        case "XYZ":
            return "XYZ"
        case "XYZF_FORCE":
            return "XYZF_FORCE"
    raise values.error("TRAJEXT", "not implemented; use GEN, XYZ or XYZF_FORCE")


def _force_interval(values: _Values, trajectory_interval: int) -> int:
    if values.given("PRNTFRC") and "ENERGY_STRESS" in values.words("PRNTFRC"):
        raise values.error("PRNTFRC", "ENERGY_STRESS is not implemented; leave the word out")
    return _output_interval(values, "PRNTFRC", trajectory_interval)


def _output_interval(values: _Values, key: str, trajectory_interval: int) -> int:
    """The interval of `false | true [n | FRQDFTB]`, 0 for false."""
    if not values.given(key):
        return 0
    words = values.words(key)
    if not values.truth(key, words[0]):
        return 0
    if len(words) == 1:
        return 1
    if len(words) > 2:
        raise values.error(key, "use 'false', 'true', 'true n' or 'true FRQDFTB'")
    if words[1] in {"FRQDFTB", "FRQTRAJ"}:
        return trajectory_interval
    return values.parse_integer(key, words[1], 1)


def _inner_rule(values: _Values) -> InnerRule | None:
    if not values.given("CHEBYFIX"):
        return None
    words = values.words("CHEBYFIX")
    if words[0] == "SMOOTH" and len(words) == 2:
        distance = values.parse_number("CHEBYFIX", words[1])
        if distance > 0.0:
            return InnerRule("SMOOTH", distance)
    elif words == ("ZERO_DERIV",):
        return InnerRule("ZERO_DERIV")
    elif words == ("CONSTANT_DERIV",):
        return InnerRule("CONSTANT_DERIV")
    raise values.error("CHEBYFIX", "use 'SMOOTH d' with d > 0 Å, ZERO_DERIV or CONSTANT_DERIV")
