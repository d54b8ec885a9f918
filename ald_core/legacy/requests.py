"""What jobs of an old study ask of a cluster, as `[resources]`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import attrs

from ald_core.legacy.config import Config, whole, word
from ald_core.legacy.options import Method
from ald_core.legacy.programs import Programs
from ald_core.resources import minutes

FRAMES_PER_JOB = 40
"""All frames of a case were labelled by one job."""


@attrs.define
class Requests:
    """Resources by section and, where the cases differ, by case."""

    entries: list[tuple[str, str, Any, tuple[str, ...]]] = attrs.field(factory=list)
    """Section, key, value, options that it comes from"""
    cases: dict[int, dict[str, Any]] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    used: set[str] = attrs.field(factory=set)

    def put(self, section: str, key: str, value: Any, *names: str) -> None:
        """One more value."""
        self.entries.append((section, key, value, names))


def slurm_is_here() -> bool:
    """Whether Slurm is set up on this machine; if its controller is down, it is."""
    if not all(shutil.which(program) for program in ("sbatch", "squeue")):
        return False
    try:
        command = ["squeue", "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return "configuration source" not in done.stderr


def requested(
    config: Config,
    labeler: Method | None,
    n_cases: int,
    *,
    fit: Programs,
    md: Programs,
    gas: Method | None = None,
) -> Requests:
    """All that jobs ask for; problems are put on the config's list. `gas` labels molecules, if there are any."""
    found = Requests()
    account = config.text("HPC_ACCOUNT")
    if account:
        found.put("resources", "account", account, "HPC_ACCOUNT")
    else:
        found.warnings.append(config.about("HPC_ACCOUNT", "is not given: the account that pays"))
    _mail(config, found)
    ppn = config.whole("HPC_PPN")
    times = [config.text("CHIMES_SOLVE_TIME"), config.text("CHIMES_BUILD_TIME")]
    for step in ("fit", "predict"):
        if step == "fit" and fit == "parallel":
            _external_fit(config, found)
        else:
            found.put(f"resources.{step}", "cores", ppn, "HPC_PPN")
        found.put(
            f"resources.{step}", "queue", config.text("CHIMES_SOLVE_QUEUE"), "CHIMES_SOLVE_QUEUE"
        )
        longer = _longest(config, "CHIMES_SOLVE_TIME", times)
        found.put(f"resources.{step}", "time", longer, "CHIMES_SOLVE_TIME", "CHIMES_BUILD_TIME")
    _md(config, found, n_cases, md)
    if labeler is not None:
        _label(config, found, labeler, n_cases, "resources.label")
    if gas not in (None, labeler):
        _label(config, found, gas, n_cases, "labelers.gas.resources")
    return found


def _external_fit(config: Config, found: Requests) -> None:
    """Both programs run with the same resources, so that there are nodes for the one that needs more."""
    names = ("CHIMES_BUILD_NODES", "CHIMES_SOLVE_NODES")
    found.put("resources.fit", "nodes", max(map(config.whole, names)), *names)
    found.put("resources.fit", "ppn", config.whole("HPC_PPN"), "HPC_PPN")
    found.put("resources.fit", "launcher", _launcher(config), "HPC_SYSTEM")
    modules = config.text("CHIMES_LSQ_MODULES").split()
    if modules:
        found.put("resources.fit", "modules", modules, "CHIMES_LSQ_MODULES")
    found.used.update(("CHIMES_SOLVE_PPN", "CHIMES_LSQ_MODULES"))


def _mail(config: Config, found: Requests) -> None:
    found.used.add("HPC_EMAIL")
    if not config.flag("HPC_EMAIL"):
        return
    address = config.text("EMAIL_ADD")
    if address:
        found.put("resources", "mail", address, "HPC_EMAIL", "EMAIL_ADD")
        found.put("resources", "mail_on", ["begin", "end", "fail", "time_limit"], "HPC_EMAIL")
    else:
        found.warnings.append(config.about("HPC_EMAIL", "mails of Slurm need an EMAIL_ADD"))


def _longest(config: Config, name: str, times: Sequence[str]) -> str:
    try:
        return max(times, key=minutes)
    except ValueError as error:
        config.complain(name, str(error))
        return "04:00:00"


def _launcher(config: Config) -> str:
    return "ibrun" if config.text("HPC_SYSTEM") == "TACC" else "srun"


def _md(config: Config, found: Requests, n_cases: int, program: Programs) -> None:
    queues = config.per_case("MD_QUEUE", n_cases, word, "a queue")
    times = config.per_case("MD_TIME", n_cases, word, "a time")
    nodes = config.per_case("MD_NODES", n_cases, whole, "a whole number")
    keys: dict[str, tuple[Sequence[Any], str]] = {
        "queue": (queues, "MD_QUEUE"),
        "time": (times, "MD_TIME"),
    }
    found.used.update(("MD_QUEUE", "MD_TIME", "MD_NODES"))
    if program == "parallel":
        keys["nodes"] = (nodes, "MD_NODES")
        found.put("resources.md", "ppn", config.whole("HPC_PPN"), "HPC_PPN")
        found.put("resources.md", "launcher", _launcher(config), "HPC_SYSTEM")
    if program != "embedded":
        modules = config.text("MD_MODULES").split()
        if modules:
            found.put("resources.md", "modules", modules, "MD_MODULES", "CHIMES_MD_MODULES")
    for key, (values, name) in keys.items():
        if len(set(values)) == 1:
            found.put("resources.md", key, values[0], name)
        for i, value in enumerate(values if len(set(values)) > 1 else ()):
            found.cases.setdefault(i, {})[key] = value


def _label(config: Config, found: Requests, labeler: Method, n_cases: int, section: str) -> None:
    prefix = labeler.prefix
    nodes = config.per_case(f"{prefix}NODES", n_cases, whole, "a whole number") or [1]
    if len(set(nodes)) > 1:
        message = f"all labels get {max(nodes)} nodes, since cases share their jobs"
        found.warnings.append(config.about(f"{prefix}NODES", message))
    found.used.add(f"{prefix}NODES")
    if prefix == "GAUS_":
        _threads(config, found, section)
    else:
        found.put(section, "nodes", max(nodes), f"{prefix}NODES")
        found.put(section, "ppn", config.whole(f"{prefix}PPN"), f"{prefix}PPN")
        found.put(section, "launcher", _launcher(config), "HPC_SYSTEM")
    found.put(section, "queue", config.text(f"{prefix}QUEUE"), f"{prefix}QUEUE")
    found.put(section, "time", config.text(f"{prefix}TIME"), f"{prefix}TIME")
    found.put(section, "tasks_per_job", FRAMES_PER_JOB)
    modules = config.text(f"{prefix}MODULES").split() if prefix != "GAUS_" else []
    if modules:
        found.put(section, "modules", modules, f"{prefix}MODULES")
    elif section != "resources.label":
        found.put(section, "modules", [])  # not those of the other labeler
    memory = config.text(f"{prefix}MEM")
    found.used.add(f"{prefix}MEM")
    if memory and config.text("HPC_SYSTEM") == "UM-ARC":
        found.put(
            section, "memory", f"{memory}GB" if memory.isdecimal() else memory, f"{prefix}MEM"
        )


def _threads(config: Config, found: Requests, section: str) -> None:
    """Of Gaussian, which is one process on one node, with as many threads as there were to be processes."""
    if config.is_given("GAUS_NODES") and config.whole("GAUS_NODES") > 1:
        message = "a calculation runs on one node, with GAUS_PPN threads"
        found.warnings.append(config.about("GAUS_NODES", message))
    found.put(section, "nodes", 1, "GAUS_NODES")
    found.put(section, "ppn", 1, "GAUS_PPN")
    found.put(section, "cores", config.whole("GAUS_PPN"), "GAUS_PPN")
    found.put(section, "launcher", "none", "GAUS_PPN")
