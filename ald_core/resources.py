"""What one job of a step may use: the table `[resources.<step>]`, the same for every scheduler.

None of it changes a result. Times and amounts of memory are text as users and schedulers write it; `minutes` and
`megabytes` read them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
from attrs.validators import deep_iterable, ge, optional

from ald_core.options import build, did_you_mean, option

Launcher = Literal["none", "srun", "mpirun", "ibrun"]
MailEvent = Literal["begin", "end", "fail", "time_limit"]
MORE = 1.5
"""Factor on time or memory after a job died for want of it."""
_UNITS = {"": 1, "M": 1, "G": 1024, "T": 1024**2}


def minutes(text: str) -> int:
    """Whole minutes, rounded up, of `HH:MM:SS`, `D-HH:MM:SS` or a number of minutes; ValueError if it is none."""
    match = re.fullmatch(r"(?a)(?:(\d+)-)?(\d+):(\d\d):(\d\d)", text) or re.fullmatch(
        r"(?a)()()(\d+)()", text
    )
    days, hours, rest, seconds = (
        (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    )
    total = (days * 24 + hours) * 60 + rest + (seconds > 0)
    if not total:
        raise ValueError(f"{text!r} is no time; write HH:MM:SS, D-HH:MM:SS or a number of minutes")
    return total


def megabytes(text: str) -> int:
    """MB of `4GB`, `4000M`, `1.5G` (1 GB = 1024 MB) or a number of MB, rounded up; ValueError if it is none."""
    match = re.fullmatch(r"(?a)(\d+(?:\.\d+)?)\s*([MGT]?)B?", text, re.IGNORECASE)
    total = -int(-float(match[1]) * _UNITS[match[2].upper()] // 1) if match else 0
    if not total:
        raise ValueError(f"{text!r} is no amount of memory; write 4GB, 4000MB or 1.5TB")
    return total


def _time(raw: Any) -> Any:
    """A time in one spelling; numbers are minutes."""
    return None if raw is None else _clock(minutes(_text(raw)))


def _memory(raw: Any) -> Any:
    """An amount of memory in one spelling; numbers are MB."""
    return None if raw is None else f"{megabytes(_text(raw))}M"


def _text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise TypeError(f"text is needed, not {raw!r}")
    return str(raw).strip()


def _clock(total: int) -> str:
    days, rest = divmod(total, 24 * 60)
    return (f"{days}-" if days else "") + f"{rest // 60:02d}:{rest % 60:02d}:00"


def _word(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if not value.strip() or not value.isprintable() or value.startswith("-"):
        raise ValueError(
            f"{value!r} cannot stand for {field.name}: one line without a leading dash is needed"
        )


def _comment(_: object, field: attrs.Attribute[Any], value: str) -> None:
    del field
    if not value.startswith("#") or not value.isprintable():
        raise ValueError(
            f"{value!r} is no line for a scheduler; each is one line and begins with #"
        )


def _launcher_option(_: object, field: attrs.Attribute[Any], value: str) -> None:
    del field
    if not value or "\0" in value:
        raise ValueError(f"{value!r} is no argument")


@attrs.frozen
class Resources:
    """What one job of a step may use (`[resources.<step>]` in the run file)."""

    nodes: int = option(1, help="nodes of one job", validator=ge(1), identity=False)
    ppn: int = option(
        1, help="processes per node that a task runs as", validator=ge(1), identity=False
    )
    cores: int = option(1, help="cores (threads) of one process", validator=ge(1), identity=False)
    gpus: int = option(0, help="GPUs per node", validator=ge(0), identity=False)
    memory: str | None = option(
        None, help="per node, for example 4GB", converter=_memory, identity=False
    )
    time: str | None = option(
        None, help="limit: HH:MM:SS, D-HH:MM:SS or minutes", converter=_time, identity=False
    )
    max_memory: str | None = option(
        None,
        help="never ask for more, when a job died for want of it",
        converter=_memory,
        identity=False,
    )
    max_time: str | None = option(
        None,
        help="never ask for more, when a job died for want of it",
        converter=_time,
        identity=False,
    )
    queue: str | None = option(
        None, help="queue (partition)", validator=optional(_word), identity=False
    )
    account: str | None = option(
        None, help="account that pays", validator=optional(_word), identity=False
    )
    qos: str | None = option(
        None, help="quality of service", validator=optional(_word), identity=False
    )
    constraint: str | None = option(
        None, help="features that nodes must have", validator=optional(_word), identity=False
    )
    modules: tuple[str, ...] = option(
        (), help="modules to load", validator=deep_iterable(_word), identity=False
    )
    setup: tuple[str, ...] = option(
        (), help="shell lines before the work starts (exports and so on)", identity=False
    )
    launcher: Launcher = option("none", help="what starts the processes of a task", identity=False)
    launcher_options: tuple[str, ...] = option(
        (),
        help="more arguments of the launcher",
        validator=deep_iterable(_launcher_option),
        identity=False,
    )
    tasks_per_job: int = option(1, help="tasks in one job", validator=ge(1), identity=False)
    concurrent: int = option(
        1, help="tasks of a job that run at the same time", validator=ge(1), identity=False
    )
    mail: str | None = option(
        None, help="address that the scheduler writes to", validator=optional(_word), identity=False
    )
    mail_on: tuple[MailEvent, ...] = option(
        ("fail",), help="when it writes, for each job", identity=False
    )
    extra: tuple[str, ...] = option(
        (), help='lines for the scheduler in the script, such as "#SBATCH --gres=gpu:a100:2"',
        validator=deep_iterable(_comment), identity=False,
    )  # fmt: skip

    @property
    def processes(self) -> int:
        """Processes of one task, on all nodes."""
        return self.nodes * self.ppn

    @property
    def cores_in_use(self) -> int:
        """Cores that a job fills on each of its nodes."""
        return self.cores * self.ppn * self.concurrent

    def raised(self, *, times: int = 0, memories: int = 0) -> Resources:
        """With more time and memory, after so many deaths for want of each."""
        return attrs.evolve(
            self,
            time=self.time and _clock(_more(minutes, self.time, self.max_time, times)),
            memory=self.memory and f"{_more(megabytes, self.memory, self.max_memory, memories)}M",
        )


def _more(read: Any, text: str, limit: str | None, deaths: int) -> int:
    first: int = read(text)
    wanted = -int(-first * MORE**deaths // 1)
    return wanted if limit is None else max(first, min(wanted, int(read(limit))))


# ---------------------------------------------------------------- from the run file

S = TypeVar("S", bound=str)


def resources_of_steps(
    tables: Mapping[str, Any], steps: Sequence[S], folder: Path
) -> tuple[dict[S, Resources], list[str]]:
    """For each step: what stands in `[resources]` itself, and what `[resources.<step>]` says otherwise; problems."""
    shared = {k: v for k, v in tables.items() if k not in steps and not isinstance(v, Mapping)}
    common, problems = changed_resources(Resources(), shared, "resources", folder)
    found = dict.fromkeys(steps, common)
    for step in steps:
        table = tables.get(step, {})
        if isinstance(table, Mapping):
            where = f"resources.{step}"
            found[step], more = changed_resources(common, table, where, folder)
            problems += more
        else:
            problems.append(f"resources.{step}: must be a table, [resources.{step}]")
    strange = [key for key in tables if key not in steps and key not in shared]
    hints = {key: did_you_mean(key, steps) for key in strange}
    return found, problems + [f"resources.{k}: no such step{hint}" for k, hint in hints.items()]


def changed_resources(
    base: Resources, table: Mapping[str, Any], where: str, folder: Path
) -> tuple[Resources, list[str]]:
    """`base` with what a table says otherwise; problems."""
    made, problems = build(Resources, table, where, folder)
    changes = {key: getattr(made, key) for key in table} if made else {}
    return attrs.evolve(base, **changes), problems
