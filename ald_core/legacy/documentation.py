"""The table of all options of the existing driver, as the documentation holds it."""

from __future__ import annotations

from itertools import groupby

from ald_core.legacy.options import OPTIONS, LegacyOption
from ald_core.options import describe
from ald_core.registry import Registry


def options_table(registry: Registry) -> str:
    """One row for each option: its default in the code, and what becomes of it with the plugins of a registry."""
    taken = _taken(registry)
    rows = ["| option | default of the code | here |", "|---|---|---|"]
    for group, options in groupby(OPTIONS.values(), key=lambda option: option.group):
        rows.append(f"| **{group}** | | |")
        rows += [_row(option, taken.get(option.name, "")) for option in options]
    return "\n".join(rows)


def _row(option: LegacyOption, taken: str) -> str:
    default = "" if option.default is None else f"`{option.default}`"
    said = f" ({option.said})" if option.said else ""
    here = {
        "used": option.text,
        "plugin": taken or f"needs a plugin: {option.text}",
        "external": f"{taken or option.text}, if it is chosen; else not needed: the embedded engine does the work",
        "unneeded": f"not needed: {option.text}",
        "refused": f"refused: {option.text}",
    }[option.fate]
    cells = (f"`{option.name}`", default + said, here)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _taken(registry: Registry) -> dict[str, str]:
    """Which options of which plugins take an option."""
    found: dict[str, list[str]] = {}
    for offer in sorted(registry.offers, key=lambda o: (o.capability.role, o.capability.name)):
        for info in describe(offer.capability):
            if info.legacy is not None:
                place = f"`{info.name}` of {offer.capability.role} {offer.capability.name}"
                found.setdefault(info.legacy.name, []).append(place)
    return {name: ", ".join(places) for name, places in found.items()}
