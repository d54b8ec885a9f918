"""Options, declared once: `option()` on an attrs field serves checking, building, help and identity.

A capability (or a section of the run file) is an attrs class whose fields are all options. `build` makes one from a
table of the run file and collects every problem; `describe` lists its options; `identity` digests those that results
depend on. An option whose type is a role is a capability of its own: users write it as a table with `use`.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from ald_core.digests import digest, path_digest

C = TypeVar("C")
Choose = Callable[[type[Any], Any, str], tuple[Any, list[str]]]
"""Makes a capability of a role from its table (`use` and options) at a place of the run file; or problems"""
_META = "ald.option"


@attrs.frozen
class Legacy:
    """How an old study spells an option, and what its value there means here.

    `read(value, old)` gives the value for the run file, or None if there is none to be given; `old(name)` is the value
    of another option of the old study. What cannot be translated is a ValueError.
    """

    name: str
    read: Callable[[Any, Callable[[str], Any]], Any] = attrs.field(default=lambda value, _: value)


@attrs.frozen
class OptionInfo:
    """What is known about one option."""

    name: str
    type: str
    default: Any
    required: bool
    help: str
    legacy: Legacy | None
    identity: bool
    is_path: bool = False


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,  # noqa: A002
    converter: Callable[[Any], Any] | None = None,
    validator: Any = None,
    legacy: str | Legacy | None = None,
    identity: bool = True,
    added: bool = False,
    factory: Callable[[], Any] | None = None,
) -> Any:
    """Declare an option: an attrs field with help text.

    `converter` replaces the check against the annotation. `legacy` names the option's spelling in old studies, where
    its value means the same, or says with `Legacy` what it means. With `identity=False` the option is operational:
    changing it changes no result (commands, cores, time limits). An option `added` by a later release is no part of the
    identity while it has its default, so that studies of earlier ones go on.
    """
    if not help.strip():
        raise ValueError("an option needs a help text")
    return attrs.field(
        default=default,
        factory=factory,
        converter=converter,
        validator=validator,
        kw_only=True,
        metadata={
            _META: {
                "help": help,
                "legacy": Legacy(legacy) if isinstance(legacy, str) else legacy,
                "identity": identity,
                "added": added,
            }
        },
    )


def describe(cls: type) -> list[OptionInfo]:
    """The options of a class, in order of declaration; TypeError for a field that is none."""
    infos = []
    for field in _fields(cls):
        meta = field.metadata.get(_META)
        if meta is None:
            raise TypeError(f"{cls.__name__}.{field.name} is not declared with option()")
        default: Any = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory()
        infos.append(
            OptionInfo(
                field.name,
                _type_name(field.type),
                None if default is attrs.NOTHING else default,
                default is attrs.NOTHING,
                meta["help"],
                meta["legacy"],
                meta["identity"],
                Path in (field.type, *get_args(field.type)),
            )
        )
    return infos


def build(
    cls: type[C],
    table: Mapping[str, Any],
    where: str,
    base: Path,
    skip: Iterable[str] = (),
    choose: Choose | None = None,
) -> tuple[C | None, list[str]]:
    """Make an instance from a table; on any problem return None and all of them, one sentence each.

    `where` prefixes the messages (`labelers.bulk`), relative paths start at `base`, keys in `skip` are not options.
    `choose` makes the options that are capabilities themselves, where a class may have such.
    """
    fields = {f.name: f for f in _fields(cls)}
    problems = []
    values: dict[str, Any] = {}
    for key, raw in table.items():
        if key in skip:
            continue
        if key not in fields:
            problems.append(f"{where}.{key}: no such option{did_you_mean(key, fields)}")
            continue
        field = fields[key]
        if _is_role(field.type):
            if choose is None:
                raise TypeError(f"{cls.__name__}.{key} is a capability, and nobody can choose it")
            role: Any = field.type
            values[key], found = choose(role, raw, f"{where}.{key}")
            problems += found
            continue
        try:
            value = _structure(raw, field, base)
            if field.validator is not None:
                field.validator(None, field, value)
        except (ValueError, TypeError) as error:
            problems.append(f"{where}.{key}: {_first_line(error)}")
        else:
            values[key] = value
    problems += [
        f"{where}.{name}: is required ({field.metadata[_META]['help']})"
        for name, field in fields.items()
        if name not in table and field.default is attrs.NOTHING
    ]
    if problems:
        return None, problems
    try:
        return cls(**values), []
    except (ValueError, TypeError) as error:
        return None, [f"{where}: {_first_line(error)}"]


def identity(capability: object) -> str:
    """Digest of the options that results depend on; files and folders count by their content, not by their path."""
    parts: list[object] = [f"{type(capability).__module__}.{type(capability).__qualname__}"]
    for field in _fields(type(capability)):
        meta = field.metadata.get(_META, {})
        value = getattr(capability, field.name)
        if meta.get("identity", True) and not (meta.get("added") and value == field.default):
            parts += [field.name, _plain(value)]
    return digest(*parts)


def parts(capability: object) -> dict[str, Any]:
    """The options that are capabilities themselves, by name."""
    fields = _fields(type(capability)) if attrs.has(type(capability)) else ()
    return {f.name: getattr(capability, f.name) for f in fields if _is_role(f.type)}


def values(capability: object) -> dict[str, str]:
    """The same options as text for people, in order of declaration; a file with the beginning of its digest."""
    shown = {}
    for field in _fields(type(capability)):
        if field.metadata.get(_META, {}).get("identity", True):
            shown[field.name] = _shown(getattr(capability, field.name))
    return shown


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when something known is close, else `; known: …`."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f" (known: {', '.join(known)})" if known else ""


def _plain(value: Any) -> object:
    """The value with paths replaced by digests and mappings ordered, fit for `repr`."""
    if isinstance(value, Path):
        return path_digest(value) if value.exists() else value.name
    if isinstance(value, Mapping):
        return [(k, _plain(value[k])) for k in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if attrs.has(type(value)):
        return identity(value)
    return value


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return f"{value.name} ({path_digest(value)[:8]})" if value.exists() else value.name
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_shown(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if _is_role(type(value)):
        return str(value.name)  # its options are shown by themselves
    if attrs.has(type(value)):
        return _shown(values(value))
    return str(value)


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    if not attrs.has(cls):
        raise TypeError(f"{cls} is not an attrs class")
    attrs.resolve_types(cls)
    return tuple(f for f in attrs.fields(cls) if f.init)


def _structure(raw: Any, field: attrs.Attribute[Any], base: Path) -> Any:
    converter: Any = field.converter
    if converter is not None:
        return converter(raw)
    return _fit(raw, field.type, base)


def _fit(raw: Any, kind: Any, base: Path) -> Any:  # noqa: PLR0911
    """The value `raw` as type `kind`, or a TypeError in words."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or kind is None:
        return raw
    if origin in (Union, types.UnionType):
        choices = [a for a in args if a is not type(None)]
        fitting = [a for a in choices if _is_mapping(a) == isinstance(raw, Mapping)]
        return _fit(raw, (fitting or choices)[0], base)
    if origin is Literal:
        if raw not in args:
            hint = did_you_mean(raw, args) if isinstance(raw, str) else f" (known: {args})"
            raise TypeError(f"{raw!r} is not possible{hint}")
        return raw
    if origin in (tuple, list, Sequence):
        if isinstance(raw, str) or not isinstance(raw, (list, tuple)):
            raise TypeError(f"a list is needed, not {raw!r}")
        return tuple(_fit(item, args[0], base) for item in raw)
    if origin in (dict, Mapping):
        if not isinstance(raw, Mapping):
            raise TypeError(f"a table is needed, not {raw!r}")
        return dict(raw)
    if kind is Path:
        if not isinstance(raw, str):
            raise TypeError(f"a path is needed, not {raw!r}")
        path = base / Path(raw).expanduser()
        if not path.exists():
            raise TypeError(f"there is no file {path}")
        return path
    return _fit_scalar(raw, kind)


def _is_role(kind: Any) -> bool:
    """Whether a type is a role that a plugin can fill, or a capability that fills one."""
    return isinstance(kind, type) and isinstance(getattr(kind, "role", None), str)


def _is_mapping(kind: Any) -> bool:
    return get_origin(kind) in (dict, Mapping)


def _fit_scalar(raw: Any, kind: type) -> Any:
    if kind is bool or isinstance(raw, bool):
        if kind is bool and isinstance(raw, bool):
            return raw
    elif kind is int and isinstance(raw, int):
        return raw
    elif kind in (int, float) and isinstance(raw, (int, float, str)):
        try:
            number = float(raw)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number) and (kind is float or number.is_integer()):
            return kind(number)
    elif isinstance(raw, kind):
        return raw
    raise TypeError(f"{_type_name(kind)} is needed, not {raw!r}")


def _type_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if kind in names or _is_role(kind):
        return names.get(kind) or str(kind.role)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(a) for a in args if a is not type(None))
    if origin is Literal:
        return " | ".join(str(a) for a in args)
    if origin in (tuple, list, Sequence):
        return f"list of {_type_name(args[0])}"
    if origin in (dict, Mapping):
        return "table"
    return {"Path": "path"}.get(getattr(kind, "__name__", ""), getattr(kind, "__name__", str(kind)))


def _first_line(error: Exception) -> str:
    return str(error.args[0] if error.args else error).splitlines()[0]


def markdown_table(cls: type) -> str:
    """The options of a class as the table that its README holds."""
    rows = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for info in describe(cls):
        default = "required" if info.required else "" if info.default is None else str(info.default)
        cells = (f"`{info.name}`", info.type, default, info.help)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
