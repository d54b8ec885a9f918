"""What the core itself offers, through the same door as everyone."""

from ald_core.hookspecs import hookimpl
from ald_core.local import LocalScheduler
from ald_core.reference import ReferenceEngine, ReferenceFitter, ReferenceLabeler
from ald_core.roles import Fitter, Labeler, MDEngine, Scheduler, Selector, Weighting
from ald_core.selection import EvenSelector
from ald_core.weighting import FormulaWeighting


@hookimpl
def ald_schedulers() -> list[type[Scheduler]]:
    """Offer the scheduler `local`."""
    return [LocalScheduler]


@hookimpl
def ald_selectors() -> list[type[Selector]]:
    """Offer the selector `even`."""
    return [EvenSelector]


@hookimpl
def ald_weightings() -> list[type[Weighting]]:
    """Offer the weighting `formula`."""
    return [FormulaWeighting]


@hookimpl
def ald_labelers() -> list[type[Labeler]]:
    """Offer the labeler `reference`."""
    return [ReferenceLabeler]


@hookimpl
def ald_fitters() -> list[type[Fitter]]:
    """Offer the fitter `reference`."""
    return [ReferenceFitter]


@hookimpl
def ald_md_engines() -> list[type[MDEngine]]:
    """Offer the MD engine `reference`."""
    return [ReferenceEngine]
