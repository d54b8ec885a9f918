"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler
from ald_espresso.labeler import EspressoLabeler


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `espresso`."""
    return [EspressoLabeler]
