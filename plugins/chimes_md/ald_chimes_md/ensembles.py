"""The ensembles of ChIMES MD: the words of `CONSRNT`."""

from typing import Literal

import attrs

from ald_chimes_md.control_values import Values

Kind = Literal[
    "NVE", "NVT-MTK", "NVT-SCALE", "NVT-BEREND", "NPT-BEREND", "NPT-BEREND-ANISO", "NPT-MTK"
]
FORMS: dict[Kind, str] = {
    "NVE": "NVE",
    "NVT-MTK": "NVT-MTK HOOVER t",
    "NVT-SCALE": "NVT-SCALE n",
    "NVT-BEREND": "NVT-BEREND t",
    "NPT-BEREND": "NPT-BEREND t [t_b]",
    "NPT-BEREND-ANISO": "NPT-BEREND-ANISO t [t_b]",
    "NPT-MTK": "NPT-MTK HOOVER t t_b",
}
BAROSTAT_TIME = 1000.0
"""fs, of Berendsen's barostat where the file does not say"""

SHORTEST, LONGEST = 1e-3, 1e9
"""fs, of the times of thermostats and barostats"""


@attrs.frozen
class Ensemble:
    """What is held constant, and how."""

    kind: Kind = "NVE"
    thermostat_time: float = 0.0
    """fs"""
    barostat_time: float = 0.0
    """fs"""
    scale_interval: int = 0
    """Steps between two scalings of NVT-SCALE."""
    moving: tuple[int, int] | None = None
    """First and last of the atoms that move, from 0; None if all do."""

    @property
    def has_thermostat(self) -> bool:
        """The temperature is held constant."""
        return self.kind != "NVE"

    @property
    def has_barostat(self) -> bool:
        """The cell changes."""
        return self.kind.startswith("NPT")

    @property
    def is_extended(self) -> bool:
        """There is a conserved quantity that is not the energy."""
        return self.kind.endswith("MTK")


def parse_ensemble(values: Values) -> Ensemble:
    """Read CONSRNT; raises InputError naming the form that is right."""
    words = values.words("CONSRNT")
    moving = None
    if "FREEZE" in words:
        at = words.index("FREEZE")
        moving = _moving(values, words[at + 1 :])
        words = words[:at]
    for kind, form in FORMS.items():
        if words[:1] == (kind,):
            return _with_numbers(values, kind, form, words[1:], moving)
    forms = ", ".join(f"'{form}'" for form in FORMS.values())
    raise values.error("CONSRNT", "no such ensemble", cure=f"use one of {forms}")


def _moving(values: Values, words: tuple[str, ...]) -> tuple[int, int]:
    if len(words) == 2:
        first, last = (values.parse_integer("CONSRNT", word, 0) for word in words)
        if first <= last:
            return first, last
    raise values.error(
        "CONSRNT",
        "FREEZE needs the first and the last of the atoms that move, counted from 0",
        cure="use 'FREEZE a b' at the end, with a not above b",
    )


def _with_numbers(
    values: Values, kind: Kind, form: str, words: tuple[str, ...], moving: tuple[int, int] | None
) -> Ensemble:
    cure = f"use '{form}' with numbers above 0 (fs, or steps)"
    wrong = values.error("CONSRNT", "this is not what the ensemble needs", cure=cure)
    if kind.endswith("MTK"):
        if words[:1] != ("HOOVER",):
            raise wrong
        words = words[1:]
    least = {"NVE": 0, "NPT-MTK": 2}.get(kind, 1)
    most = 2 if kind.startswith("NPT") else least
    if not least <= len(words) <= most:
        raise wrong
    if kind == "NVT-SCALE":
        interval = values.parse_integer("CONSRNT", words[0], 1)
        return Ensemble(kind, scale_interval=interval, moving=moving)
    numbers = [values.parse_number("CONSRNT", word) for word in words]
    if any(number <= 0.0 for number in numbers):
        raise wrong
    if any(not SHORTEST <= number <= LONGEST for number in numbers):
        cure = f"give times between {SHORTEST:g} and {LONGEST:g} fs"
        raise values.error("CONSRNT", "no thermostat or barostat is so fast or slow", cure=cure)
    thermostat_time, barostat_time, *_ = [*numbers, 0.0, 0.0]
    if kind.startswith("NPT"):
        if moving is not None:
            fault = "FREEZE does not go with a barostat"
            raise values.error("CONSRNT", fault, cure="use an NVT ensemble")
        barostat_time = barostat_time or BAROSTAT_TIME
    return Ensemble(kind, thermostat_time, barostat_time, moving=moving)
