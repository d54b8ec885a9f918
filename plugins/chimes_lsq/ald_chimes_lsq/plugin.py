"""What this distribution offers."""

from ald_chimes_lsq.fitter import ChimesFitter
from ald_core.hookspecs import hookimpl
from ald_core.roles import Fitter


@hookimpl
def ald_fitters() -> list[type[Fitter]]:
    """Offer the fitter `chimes`."""
    return [ChimesFitter]
