"""Writes a run file as people write it: sections, one option per line, each with a comment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SECTIONS_IN_SECTIONS = ("labelers", "resources")
MARGIN = 44
"""Column where comments begin, if the line before them is not longer"""


def toml_text(
    tables: Mapping[str, Any], comments: Mapping[str, str], head: Sequence[str] = ()
) -> str:
    """The text; comments are found by names with dots (`fitter.alpha`, `case[0].input`, `case[0]`)."""
    lines = [f"# {line}".rstrip() for line in head]
    for name, table in tables.items():
        lines += _section(name, table, comments)
    return "\n".join(lines) + "\n"


def _section(name: str, table: Any, comments: Mapping[str, str]) -> list[str]:
    if _is_tables(table):
        return [
            line
            for i, one in enumerate(table)
            for line in _block(f"[[{name}]]", f"{name}[{i}]", one, comments)
        ]
    later = {
        key: value
        for key, value in table.items()
        if _is_tables(value) or (name in SECTIONS_IN_SECTIONS and isinstance(value, Mapping))
    }
    own = {key: value for key, value in table.items() if key not in later}
    lines = _block(f"[{name}]", name, own, comments) if own or not later else []
    for key, value in later.items():
        lines += _section(f"{name}.{key}", value, comments)
    return lines


def _block(
    header: str, name: str, table: Mapping[str, Any], comments: Mapping[str, str]
) -> list[str]:
    lines = ["", _commented(header, comments.get(name, ""))]
    for key, value in table.items():
        lines.append(
            _commented(f"{_key(key)} = {_value(value)}", comments.get(f"{name}.{key}", ""))
        )
    return lines


def _commented(text: str, comment: str) -> str:
    return f"{text.ljust(MARGIN - 2)}  # {comment}" if comment else text


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _key(text: str) -> str:
    plain = text.isascii() and text.replace("_", "a").replace("-", "a").isalnum()
    return text if plain else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(map(_value, value)) + "]"
