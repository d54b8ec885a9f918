"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler
from ald_cp2k.labeler import Cp2kLabeler


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `cp2k`."""
    return [Cp2kLabeler]
