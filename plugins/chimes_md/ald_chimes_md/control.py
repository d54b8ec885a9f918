"""The control file of a ChIMES molecular dynamics run, `run_md.in`.

Keys, values and defaults are those of ChIMES MD. Keys that mean nothing are collected in
`Control.ignored`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from ald_chimes_lsq.basis import InnerRule
from ald_chimes_lsq.formats.tokens import Place, read_text
from ald_chimes_md.control_values import Values
from ald_chimes_md.ensembles import Ensemble, parse_ensemble
from ald_chimes_md.keywords import read_keywords
from ald_core.errors import InputError

TrajectoryFormat = Literal["GEN", "XYZ", "XYZF_FORCE", "LAMMPSTRJ"]
Velocities = Literal["READ", "GEN", "RESTART"]
VirialMethod = Literal["ANALYTICAL", "NUMERICAL_PRESSURE", "NUMERICAL_STRESS"]
StressFields = Literal["none", "diagonal", "full"]

IGNORED_KEYS = frozenset({"USEKILL", "SLFCNST"})
"""Keys that do nothing at all in ChIMES MD either."""
UNUSABLE_FILES = ("SCALE", "CAT", "INITIALIZE")
"""Forms of CRDFILE that ChIMES MD knows by name only: none of them works there."""


@attrs.frozen
class Comparison:
    """Forces (and perhaps stresses and an energy) that stand in a file, against those of the model."""

    file: str
    subtract: bool = False
    """Write the coordinate file with the difference; else only tell the errors."""
    subtract_energy: bool = False
    subtract_stress: bool = False

    @property
    def key(self) -> str:
        """The key that asks for it."""
        return "SUBTFRC" if self.subtract else "CMPRFRC"


@attrs.frozen(kw_only=True)
class Control:
    """The settings of one run, in the units of the file (K, fs, Å)."""

    temperature: float
    timestep: float
    steps: int
    """Number of configurations: the initial one is step 1."""
    parameter_file: str
    coordinate_file: str
    velocities: Velocities
    ensemble: Ensemble
    trajectory_interval: int
    energy_interval: int
    pressure: float = 0.0
    """GPa, of a barostat"""
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
    force_headers: bool = False
    """Energy and stress in the headers of `forceout.xyzf`."""
    restart_interval: int = 100
    """Steps between two restart files."""
    dftb_file: bool = False
    """Leave `dftbplus_data.dat`."""
    penalty_limit: float | None = None
    """Stop if the penalty of a pair exceeds that many times the conserved quantity per atom."""
    virial: VirialMethod = "ANALYTICAL"
    comparison: Comparison | None = None
    """Instead of a run."""
    check_forces: bool = False
    """Compare the first forces with finite differences."""
    reference_stress: StressFields = "none"
    reference_energy: bool = False
    """What a file to compare with holds beside the forces."""
    ignored: tuple[str, ...] = ()
    """Keys of the file that mean nothing, in file order."""
    places: Mapping[str, Place] = attrs.field(factory=dict, eq=False, repr=False)
    """Where the values stand in the file, by key: no setting, and only for messages."""

    def error(self, key: str, fault: str, *, cure: str) -> InputError:
        """An InputError about a value that does not go with another file."""
        return self.places.get(key, Place()).error(f"{key} {fault}", cure=cure)


def read_control(path: Path | str) -> Control:
    """Read a `run_md.in`; raises InputError naming line, value and cure."""
    return parse_control(read_text(Path(path)), path)


def parse_control(text: str, path: Path | str | None = None) -> Control:
    """The settings in the text of a `run_md.in`; `path` is only named in messages."""
    values = Values(read_keywords(text, path), path)
    _check_neighbours(values)
    velocities = _velocities(values)
    layers, replicate = _layers(values)
    if velocities == "RESTART" and replicate:
        fault = "a restart goes on with the atoms of its file"
        raise values.error("NLAYERS", fault, cure="leave REPLICATE out")
    temperature = values.number("TEMPERA", minimum=0.0)
    steps = values.integer("N_MDSTP", minimum=1)
    timestep = values.number("TIMESTP", minimum=0.0)
    if timestep == 0.0 and steps > 1:
        fault = f"a run of {steps} steps needs a time step above 0 fs"
        raise values.error("TIMESTP", fault, cure="give one, or set N_MDSTP to 1")
    ensemble = parse_ensemble(values)
    if ensemble.has_thermostat and temperature == 0.0 and steps > 1:
        fault = "a thermostat needs a temperature above 0 K"
        raise values.error("TEMPERA", fault, cure="give one, or set CONSRNT to NVE")
    trajectory_interval = _trajectory_interval(values)
    force_interval, force_headers = _force_output(values, trajectory_interval)
    limit = values.number("PENTHRS", default=-1.0)
    stress, energy = _reference_stress(values), _reference_energy(values)
    return Control(
        temperature=temperature,
        timestep=timestep,
        steps=steps,
        parameter_file=values.word("PRMFILE"),
        coordinate_file=_coordinate_file(values),
        velocities=velocities,
        ensemble=ensemble,
        trajectory_interval=trajectory_interval,
        energy_interval=values.integer("FRQENER", minimum=1),
        pressure=_pressure(values, needed=ensemble.has_barostat),
        seed=_seed(values, needed=velocities == "GEN"),
        replicate=replicate,
        inner=_inner_rule(values),
        wrap_output=values.boolean("WRPCRDS", default=True) and layers == 0,
        with_offsets=values.boolean("ATMENER", default=True),
        temperature_check=values.number("CONVCUT", default=0.1) > 0.0,
        trajectory_format=_trajectory_format(values),
        force_interval=force_interval,
        velocity_interval=_output_interval(values, "PRNTVEL", trajectory_interval),
        contact_files=values.boolean("PRNTBAD", default=False),
        force_headers=force_headers,
        restart_interval=values.integer("FRQRSTR", minimum=1) if values.given("FRQRSTR") else 100,
        dftb_file=values.boolean("FORDFTB", default=False),
        penalty_limit=limit if limit > 0.0 else None,
        virial=_virial_method(values),
        comparison=_comparison(values, with_stress=stress != "none", with_energy=energy),
        check_forces=values.boolean("CHECKFRC", default=False),
        reference_stress=stress,
        reference_energy=energy,
        ignored=values.unknown(IGNORED_KEYS),
        places=values.places(),
    )


def _check_neighbours(values: Values) -> None:
    if values.given("USENEIG"):
        words = values.words("USENEIG")
        if values.truth("USENEIG", words[0]) and words[1:] not in {(), ("SMALL",)}:
            cure = "use 'true', 'true SMALL' or 'false'"
            raise values.error("USENEIG", "no such neighbour list", cure=cure)
    values.boolean("SERIAL_CHIMES", default=False)  # without an effect, but not without a sense


def _velocities(values: Values) -> Velocities:
    match values.choice("VELINIT", ("GEN", "READ", "RESTART")):
        case "GEN":
            return "GEN"
        case "READ":
            return "READ"
    return "RESTART"


def _pressure(values: Values, *, needed: bool) -> float:
    if needed or values.given("PRESSUR"):
        return values.number("PRESSUR")
    return 0.0


def _virial_method(values: Values) -> VirialMethod:
    numerical = {
        key: values.choice(key, ("ANALYTICAL", "NUMERICAL"), "ANALYTICAL") == "NUMERICAL"
        for key in ("PRSCALC", "STRSCALC")
    }
    if numerical["STRSCALC"]:
        return "NUMERICAL_STRESS"
    return "NUMERICAL_PRESSURE" if numerical["PRSCALC"] else "ANALYTICAL"


def _comparison(values: Values, *, with_stress: bool, with_energy: bool) -> Comparison | None:
    """CMPRFRC or SUBTFRC."""
    found: list[Comparison] = []
    for key, extra in (("CMPRFRC", ()), ("SUBTFRC", ("SUBTR_ENERGY", "SUBTR_STRESS"))):
        if not values.given(key):
            continue
        words = values.words(key)
        if not values.truth(key, words[0]):
            continue
        if len(words) < 2 or not set(words[2:]) <= set(extra) or len(set(words)) < len(words):
            options = "".join(f" [{word}]" for word in extra)
            cure = f"use 'false' or 'true file{options}'"
            raise values.error(key, "these words do not say what to do", cure=cure)
        found.append(
            Comparison(
                file=words[1],
                subtract=key == "SUBTFRC",
                subtract_energy="SUBTR_ENERGY" in words,
                subtract_stress="SUBTR_STRESS" in words,
            )
        )
    if any(one.subtract_stress for one in found) and not with_stress:
        fault = "SUBTR_STRESS needs FITSTRS, which announces stresses"
        raise values.error("SUBTFRC", fault, cure="set FITSTRS, or leave SUBTR_STRESS out")
    if any(one.subtract_energy for one in found) and not with_energy:
        fault = "SUBTR_ENERGY needs FITENER, which announces an energy"
        raise values.error("SUBTFRC", fault, cure="set FITENER, or leave SUBTR_ENERGY out")
    if len(found) > 1:
        raise values.error("SUBTFRC", "CMPRFRC is true as well", cure="keep one of the two")
    return found[0] if found else None


def _reference_stress(values: Values) -> StressFields:
    if not values.given("FITSTRS"):
        return "none"
    words = values.words("FITSTRS")
    word = words[0].upper()
    counted = len(words) == 2 and values.parse_integer("FITSTRS", words[1], 0) >= 0
    if word in {"ALL", "A"} and len(words) == 1:
        return "full"
    if counted and word in {"FIRST", "FIRSTALL"}:
        return "full" if word == "FIRSTALL" else "diagonal"
    return "diagonal" if values.truth("FITSTRS", values.word("FITSTRS")) else "none"


def _reference_energy(values: Values) -> bool:
    if not values.given("FITENER"):
        return False
    words = values.words("FITENER")
    if words[0].upper() == "FIRST" and len(words) == 2:
        return values.parse_integer("FITENER", words[1], 0) >= 0
    return values.truth("FITENER", values.word("FITENER"))


def _seed(values: Values, *, needed: bool) -> int | None:
    if not values.given("RNDSEED") and not needed:
        return None
    word = values.word("RNDSEED")
    if not (word.isascii() and word.isdecimal() and len(word) < 11 and int(word) < 2**32):
        cure = "give a whole number from 0 to 4294967295"
        raise values.error("RNDSEED", "no seed of the C library", cure=cure)
    return int(word)


def _layers(values: Values) -> tuple[int, int]:
    """Layers of ghost atoms (all images are always summed here) and copies of the cell."""
    if not values.given("NLAYERS"):
        return 0, 0
    words = values.words("NLAYERS")
    if len(words) == 1:
        return values.parse_integer("NLAYERS", words[0], 0), 0
    if len(words) == 3 and words[1] == "REPLICATE":
        copies = values.parse_integer("NLAYERS", words[2], 0)
        if copies > 100:
            cure = "ask for fewer; all images are summed in any case"
            raise values.error("NLAYERS", "more than 100 copies along each axis", cure=cure)
        return values.parse_integer("NLAYERS", words[0], 0), copies
    cure = "use 'n' or 'n REPLICATE m' with whole numbers"
    raise values.error("NLAYERS", "no number of layers", cure=cure)


def _coordinate_file(values: Values) -> str:
    words = values.words("CRDFILE")
    if len(words) > 1 and words[0] in UNUSABLE_FILES:
        fault = f"the form {words[0]} has never worked in ChIMES MD"
        raise values.error("CRDFILE", fault, cure="write one coordinate file, and name it")
    return values.word("CRDFILE")


def _trajectory_interval(values: Values) -> int:
    given = [key for key in ("FRQDFTB", "FRQTRAJ") if values.given(key)]
    if not given:
        values.words("FRQTRAJ")
    intervals = [values.integer(key, minimum=1) for key in given]
    if intervals[0] != intervals[-1]:
        raise values.error("FRQTRAJ", f"FRQDFTB says {intervals[0]}", cure="keep one of the two")
    return intervals[0]


def _trajectory_format(values: Values) -> TrajectoryFormat:
    match values.choice("TRAJEXT", ("GEN", "XYZ", "XYZF_FORCE", "LAMMPSTRJ"), "GEN"):
        case "GEN":
            return "GEN"
        case "XYZ":
            return "XYZ"
        case "XYZF_FORCE":
            return "XYZF_FORCE"
    return "LAMMPSTRJ"


def _force_output(values: Values, trajectory_interval: int) -> tuple[int, bool]:
    """PRNTFRC: the interval, and whether headers hold energy and stress."""
    if not values.given("PRNTFRC"):
        return 0, False
    words = values.words("PRNTFRC")
    if not (values.truth("PRNTFRC", words[0]) and words[1:2] == ("ENERGY_STRESS",)):
        return _output_interval(values, "PRNTFRC", trajectory_interval), False
    if len(words) > 3:
        cure = "use 'true ENERGY_STRESS' or 'true ENERGY_STRESS n'"
        raise values.error("PRNTFRC", "too many words", cure=cure)
    return values.parse_integer("PRNTFRC", words[2], 1) if len(words) == 3 else 1, True


def _output_interval(values: Values, key: str, trajectory_interval: int) -> int:
    """The interval of `false | true [n | FRQDFTB]`, 0 for false."""
    if not values.given(key):
        return 0
    words = values.words(key)
    if not values.truth(key, words[0]):
        return 0
    if len(words) == 1:
        return 1
    if len(words) > 2:
        cure = "use 'false', 'true', 'true n' or 'true FRQDFTB'"
        raise values.error(key, "too many words", cure=cure)
    if words[1] in {"FRQDFTB", "FRQTRAJ"}:
        return trajectory_interval
    return values.parse_integer(key, words[1], 1)


def _inner_rule(values: Values) -> InnerRule | None:
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
    cure = "use 'SMOOTH d' with d > 0 Å, ZERO_DERIV or CONSTANT_DERIV"
    raise values.error("CHEBYFIX", "no such rule for the inside of the inner cutoff", cure=cure)
