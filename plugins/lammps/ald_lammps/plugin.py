"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler, MDEngine
from ald_lammps.labeler import LammpsLabeler
from ald_lammps.md_engine import LammpsMD


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `lammps`."""
    return [LammpsLabeler]


@hookimpl
def ald_md_engines() -> list[type[MDEngine]]:
    """Offer the MD engine `lammps`."""
    return [LammpsMD]
