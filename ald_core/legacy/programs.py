"""Programs of the user in place of the embedded engine, which an `ald.toml` beside a `config.py` may choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ald_core.errors import PluginError
from ald_core.legacy.config import Config
from ald_core.options import describe
from ald_core.registry import Registry
from ald_core.roles import Capability

Programs = Literal["embedded", "serial", "parallel"]
"""What does the work of a step: the embedded engine, or a program of the user"""
OF_CHIMES_MD = (
    *("MD_MPI", "MD_SER", "CHIMES_MD_MPI", "CHIMES_MD_SER", "CHIMES_MD_MODULES"),
    "CHIMES_SRCDIR",
)
"""Options by which a program is found"""
_USUAL = "chimes"


def chosen_capability(
    registry: Registry, changes: Mapping[str, Any], role: type[Capability], section: str
) -> type[Capability] | None:
    """A capability that a change chooses, if it takes options of old studies and is not the embedded engine."""
    table = changes.get(section)
    name = table.get("use") if isinstance(table, Mapping) else None
    if not isinstance(name, str) or name == _USUAL:
        return None
    try:
        cls = registry.find(role, name)
    except PluginError:
        return None
    return cls if any(info.legacy for info in describe(cls)) else None


def md_program(config: Config, program: object) -> Programs:
    """Whether a program that was found for MD is the serial one, which must not be started many times."""
    serial = config.text("MD_SER")
    is_serial = bool(serial) and program == config.in_study(config.find(serial))
    return "serial" if is_serial else "parallel"
