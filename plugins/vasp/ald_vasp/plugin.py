"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler
from ald_vasp.labeler import VaspLabeler


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `vasp`."""
    return [VaspLabeler]
