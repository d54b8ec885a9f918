"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Fitter
from ald_hierarchical.correction import CorrectionFitter
from ald_hierarchical.hierarchical import HierarchicalFitter


@hookimpl
def ald_fitters() -> list[type[Fitter]]:
    """Offer the fitters `hierarchical` and `correction`."""
    return [HierarchicalFitter, CorrectionFitter]
