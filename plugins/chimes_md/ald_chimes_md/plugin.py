"""What this distribution offers."""

import typer

from ald_chimes_md import commands
from ald_chimes_md.md_engine import ChimesMD
from ald_core.hookspecs import hookimpl
from ald_core.roles import MDEngine


@hookimpl
def ald_md_engines() -> list[type[MDEngine]]:
    """Offer the MD engine `chimes`."""
    return [ChimesMD]


@hookimpl
def ald_commands() -> list[typer.Typer]:
    """Offer `ald chimes md`."""
    return [commands.app]
