"""Offers a labeler, or would."""

import a_library_that_was_never_installed

from ald_core.hookspecs import hookimpl


@hookimpl
def ald_labelers():
    """Offer the labeler `wreck`."""
    return [a_library_that_was_never_installed.Labeler]
