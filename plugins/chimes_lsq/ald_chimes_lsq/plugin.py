"""What this distribution offers."""

from typing import TYPE_CHECKING

from ald_chimes_lsq.fitter import ChimesFitter
from ald_chimes_lsq.row_weights import RowWeighting
from ald_core.hookspecs import hookimpl
from ald_core.roles import Fitter, Weighting

if TYPE_CHECKING:
    import typer


@hookimpl
def ald_fitters() -> list[type[Fitter]]:
    """Offer the fitter `chimes`."""
    return [ChimesFitter]


@hookimpl
def ald_weightings() -> list[type[Weighting]]:
    """Offer the weighting `rows`."""
    return [RowWeighting]


@hookimpl
def ald_commands() -> list["typer.Typer"]:
    """Offer `ald chimes`."""
    from ald_chimes_lsq.commands import app  # noqa: PLC0415 (only the command line needs it)

    return [app]
