"""What this distribution offers."""

from ald_ase.labeler import AseLabeler
from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `ase`."""
    return [AseLabeler]
