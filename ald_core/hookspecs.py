"""The hooks: one per role, without arguments, each returns a list of classes; one for commands; one event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from ald_core.roles import Fitter, Labeler, MDEngine, Notifier, Scheduler, Selector, Weighting

if TYPE_CHECKING:
    import typer

    from ald_core.store import CycleRecord

hookspec = pluggy.HookspecMarker("ald")
hookimpl = pluggy.HookimplMarker("ald")


@hookspec
def ald_schedulers() -> list[type[Scheduler]]:  # type: ignore[empty-body]
    """Offer schedulers, which run job scripts."""


@hookspec
def ald_md_engines() -> list[type[MDEngine]]:  # type: ignore[empty-body]
    """Offer MD engines, which run molecular dynamics with a model."""


@hookspec
def ald_labelers() -> list[type[Labeler]]:  # type: ignore[empty-body]
    """Offer labelers, which put energies, forces and stresses on frames."""


@hookspec
def ald_selectors() -> list[type[Selector]]:  # type: ignore[empty-body]
    """Offer selectors, which choose the frames worth labelling."""


@hookspec
def ald_weightings() -> list[type[Weighting]]:  # type: ignore[empty-body]
    """Offer weightings, which weight the equations of a fit."""


@hookspec
def ald_fitters() -> list[type[Fitter]]:  # type: ignore[empty-body]
    """Offer fitters, which turn labelled frames into a model."""


@hookspec
def ald_notifiers() -> list[type[Notifier]]:  # type: ignore[empty-body]
    """Offer notifiers, which tell people who do not watch how a run goes."""


@hookspec
def ald_commands() -> list[typer.Typer]:  # type: ignore[empty-body]
    """Offer sub-commands of `ald`."""


@hookspec
def ald_cycle_finished(record: CycleRecord) -> None:
    """Tell that a cycle is complete and on disk; an error in an answer is logged and the run goes on."""
