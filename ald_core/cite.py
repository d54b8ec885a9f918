"""What to cite for the strategy of a study."""

from ald_core.runfile import RunFile

ALWAYS = (
    "Lindsey, Fried, Goldman, J. Chem. Theory Comput. 13, 6222 (2017), doi:10.1021/acs.jctc.7b00867 (ChIMES)",
    "Lindsey, Fried, Goldman, Bastea, J. Chem. Phys. 153, 134117 (2020), doi:10.1063/5.0021965 (active learning)",
)


def citations(runfile: RunFile) -> list[str]:
    """References for the method and for every capability in use, each once."""
    found = [*ALWAYS]
    for member in runfile.crew.members().values():
        found += member.cites
    return list(dict.fromkeys(found))
