"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Labeler
from ald_gaussian.labeler import GaussianLabeler


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `gaussian`."""
    return [GaussianLabeler]
