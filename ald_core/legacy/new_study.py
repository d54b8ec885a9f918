"""Makes a study of ald from one of the existing driver: its files, a run file that says where each value comes from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from ald_core.durable import publish_file
from ald_core.errors import InputError
from ald_core.legacy.config import BASE_FILES, NAME, Config, read_config, strange_names
from ald_core.legacy.history import (
    OldLabels,
    finished_labels,
    old_cycle_folders,
)
from ald_core.legacy.options import OPTIONS
from ald_core.legacy.toml_text import toml_text
from ald_core.legacy.translated import Translation
from ald_core.legacy.translation import translate
from ald_core.registry import Registry

INPUTS = "inputs"
RUN_FILE = "ald.toml"


@attrs.frozen
class NewStudy:
    """What was made."""

    run_file: Path
    remarks: tuple[str, ...]


def new_from(old: Path, study: Path, registry: Registry, *, trust: bool = False) -> NewStudy:
    """Write `ald.toml` and copy the base files, and the labels of finished cycles.

    Args:
        old: folder of the old study, or its `config.py`; nothing in it is changed.
        study: folder of the new one; if it is that of the old one, only the run file is written.
        registry: the plugins, which take options of their own.
        trust: execute the `config.py`.

    Raises:
        InputError: the old study cannot be understood, or the new one would overwrite something.
    """
    path = old / NAME if old.is_dir() else old
    config = read_config(path, trust=trust)
    run_file = study / RUN_FILE
    if run_file.exists():
        raise InputError("exists already; choose another folder", path=run_file)
    found = translate(config, registry, {})
    in_place = study.exists() and study.resolve() == config.folder.resolve()
    labels, remarks = _labels(config)
    if in_place and old_cycle_folders(config.folder):
        raise InputError(
            "holds cycles of the existing driver, which ald would replace; choose another folder for the new study",
            path=study,
        )
    tables = found.tables
    if not in_place:
        _copy(config.folder / BASE_FILES, study / INPUTS)
        tables = _moved(tables, config.folder)
        _add_labels(labels, study, tables, found.origins)
    text = toml_text(tables, found.origins, _head(found))
    text += "".join(f"{line}\n" for line in _left(found))
    publish_file(run_file, text.encode())
    remarks += found.warnings
    remarks += [f"{config.path}, {text}" for text in strange_names(config)]
    remarks += [p.text for p in found.problems]
    return NewStudy(run_file, tuple(dict.fromkeys(remarks)))


def _labels(config: Config) -> tuple[list[OldLabels], list[str]]:
    labels, remarks = finished_labels(config.folder)
    changed = [
        name
        for name in ("DO_HIERARCH", "FIT_CORRECTION")
        if config.is_given(name) and config.flag(name)
    ]
    if labels and changed:
        reason = f"with {changed[0]}, the existing driver has taken other models' energies from some of them"
        return [], [*remarks, f"labels of finished cycles are left alone, because {reason}"]
    return labels, remarks


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        raise InputError("exists already; choose another folder", path=target)
    if not source.is_dir():
        raise InputError(f"there is no such folder; an old study has {BASE_FILES}", path=source)
    try:
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    except (OSError, shutil.Error) as error:
        reason = error.args[0] if isinstance(error, shutil.Error) else error
        raise InputError(
            f"cannot be copied to {target} ({str(reason)[:200]})", path=source
        ) from error


def _moved(value: Any, folder: Path) -> Any:
    """Tables whose paths are those of the new study; what lies elsewhere in the old one keeps its place."""
    if isinstance(value, Mapping):
        return {k: _moved(v, folder) for k, v in value.items()}
    if isinstance(value, list):
        return [_moved(v, folder) for v in value]
    if not isinstance(value, str) or "/" not in value:
        return value
    head, _, rest = value.partition("/")
    if head == BASE_FILES:
        return f"{INPUTS}/{rest}"
    elsewhere = folder / value
    return str(elsewhere.absolute()) if not value.startswith("/") and elsewhere.exists() else value


def _add_labels(
    labels: list[OldLabels], study: Path, tables: dict[str, Any], origins: dict[str, str]
) -> None:
    frames = tables["training"].setdefault("frames", [])
    for label in labels:
        name = f"ALC-{label.cycle}.{label.file.parent.name}"
        table: dict[str, Any] = {"file": _keep(label.file, study, f"{name}.xyzf")}
        if label.temperatures is not None:
            table["temperatures"] = _keep(label.temperatures, study, f"{name}.temps")
        if label.kind == "gas":
            table["kind"] = "gas"
        origin = f"labels of ALC-{label.cycle}; weights count them to the starting set"
        origins[f"training.frames[{len(frames)}]"] = origin
        frames.append(table)


def _keep(source: Path, study: Path, name: str) -> str:
    """Copy a file to the labels of the new study; its path there."""
    target = study / INPUTS / "labels" / name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    return target.relative_to(study).as_posix()


def _head(found: Translation) -> list[str]:
    return [
        f"Made from {found.config.path.absolute()}, a study of the existing driver.",
        "Comments name the option that a value comes from, and its line there.",
    ]


def _left(found: Translation) -> list[str]:
    """What stands in the old study and in no section, as comments."""
    config = found.config
    lines = [""]
    if found.elsewhere:
        tables = {"scheduler": {"use": "slurm"}, **found.elsewhere}
        text = toml_text(tables, found.origins).strip()
        lines += ["# Where Slurm is, instead of [scheduler] above:"]
        lines += [f"# {line}".rstrip() for line in text.splitlines()]
        lines.append("")
    for name, known in config.evaluated.assignments.items():
        option = OPTIONS.get(name)
        if option is None or name in found.used:
            continue
        why = option.text if option.fate == "unneeded" else f"not taken ({option.text})"
        lines.append(f"# {name} = {str(known.value)[:80]!r}: {why}")
    return lines if len(lines) > 1 else []
