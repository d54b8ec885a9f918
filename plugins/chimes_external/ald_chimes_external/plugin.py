"""What this distribution offers."""

from ald_chimes_external.fitter import ExternalFitter
from ald_chimes_external.md_engine import ExternalMD
from ald_core.hookspecs import hookimpl
from ald_core.roles import Fitter, MDEngine


@hookimpl
def ald_fitters() -> list[type[Fitter]]:
    """Offer the fitter `chimes-external`."""
    return [ExternalFitter]


@hookimpl
def ald_md_engines() -> list[type[MDEngine]]:
    """Offer the MD engine `chimes_md`."""
    return [ExternalMD]
