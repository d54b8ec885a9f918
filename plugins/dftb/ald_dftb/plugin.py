"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler, MDEngine
from ald_dftb.labeler import DftbLabeler
from ald_dftb.md_engine import DftbMD


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `dftb`."""
    return [DftbLabeler]


@hookimpl
def ald_md_engines() -> list[type[MDEngine]]:
    """Offer the MD engine `dftb`."""
    return [DftbMD]
