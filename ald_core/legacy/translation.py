"""From the options and base files of an old study to the tables of a run file, with the origin of each value.

What cannot be translated is a problem of the section that it belongs to; if the user replaces that section, the problem
goes with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ald_core.errors import InputError, PluginError
from ald_core.legacy import requests
from ald_core.legacy.base_files import Entry, missing_inputs, read_traj_list, skips_frames
from ald_core.legacy.cases import FILES, case_tables
from ald_core.legacy.config import Config
from ald_core.legacy.features import (
    cluster_problems,
    correction_problems,
    hierarchical_problems,
)
from ald_core.legacy.options import FEATURES, LABELERS, MD_ENGINES, OPTIONS, Feature, Method
from ald_core.legacy.programs import (
    OF_CHIMES_MD,
    Programs,
    chosen_capability,
    md_program,
)
from ald_core.legacy.training import check_setup, training_frames
from ald_core.legacy.trajectories import Contents
from ald_core.legacy.translated import Problem, Table, Translation
from ald_core.options import describe
from ald_core.registry import Registry
from ald_core.roles import (
    Capability,
    Fitter,
    Labeler,
    MDEngine,
    Notifier,
    Scheduler,
    Selector,
    Weighting,
)

MAX_FORCE = 200.0
SLURM = ("slurm", "TACC", "UM-ARC", "conda-slurm")


def translate(config: Config, registry: Registry, changes: Mapping[str, Any]) -> Translation:
    """The whole study; `changes` are what its user says otherwise, of which the scheduler matters here.

    Raises:
        InputError: what must be given is missing.
    """
    return _Translator(config, registry, changes).translate()


class _Translator:
    """Section by section."""

    def __init__(self, config: Config, registry: Registry, changes: Mapping[str, Any]):
        self.config = config
        self.registry = registry
        self.changes = changes
        self.found = Translation(config, {})
        self.n_cases = 0
        self.entries: list[Entry] = []
        self.contents: dict[str, Contents] = {}
        self.external: dict[str, Programs] = {}
        """Steps whose work programs of the user do, because a change says so"""

    def translate(self) -> Translation:
        config = self.config
        for name in ("ATOM_TYPES", "NO_CASES"):
            if not config.is_given(name):
                raise InputError(f"{name} is missing; every study has it", path=config.path)
        with self._section("study"):
            self._study()
        with self._section("training"):
            self._training()
        with self._section("fitter"):
            self._fitter()
        with self._section("weighting"):
            self._weighting()
        with self._section("md"):
            self._md()
        with self._section("case"):
            self._cases()
        with self._section("selector"):
            self._selector()
        with self._section("labelers.bulk"):
            self._labeler("bulk", "BULK_QM_METHOD")
        if config.is_given("DO_CLUSTER") and config.flag("DO_CLUSTER"):
            with self._section("labelers.gas"):
                self._labeler("gas", "IGAS_QM_METHOD")
        self._put("quality", "max_force", MAX_FORCE, "the existing driver has no limit")
        with self._section("scheduler"):
            self._scheduler()
        with self._section("notify"):
            self._notify()
        self._remarks()
        return self.found

    # ------------------------------------------------------------ keeping books

    @contextmanager
    def _section(self, name: str) -> Iterator[None]:
        """Problems that come up here belong to a section; also those of files that cannot be read."""
        before = len(self.config.problems)
        try:
            yield
        except InputError as error:
            self.config.problems.append(str(error))
        new = self.config.problems[before:]
        self.found.problems += [Problem(name, text) for text in new]
        del self.config.problems[before:]

    def _problem(self, text: str) -> None:
        self.config.problems.append(text)

    def _put(self, section: str, key: str, value: Any, origin: str) -> None:
        table = self.found.tables
        for part in section.split("."):
            table = table.setdefault(part, {})
        table[key] = value
        self.found.origins[f"{section}.{key}"] = origin

    def _put_from(self, section: str, key: str, value: Any, *names: str, remark: str = "") -> None:
        """A value that comes from options."""
        self.found.used.update(names)
        origin = self.config.place(*names)
        self._put(section, key, value, f"{origin}; {remark}" if remark else origin)

    def _find(self, role: type[Capability], name: str) -> type[Capability] | None:
        try:
            return self.registry.find(role, name)
        except PluginError:
            return None

    def _declared(self, cls: type[Capability], section: str) -> Table:
        """Options of a capability, from those of the old study whose names it declares."""
        table: Table = {}
        for info in describe(cls):
            if info.legacy is None:
                continue
            name = info.legacy.name
            value = self.config.value(name)
            try:
                value = None if value is None else info.legacy.read(value, self.config.value)
            except ValueError as error:
                self.config.complain(name, str(error))
                value = None
            self.found.used.add(name)
            if value is not None:
                if info.type in ("a number", "a whole number") and isinstance(value, str):
                    value = self.config.number(name)
                if info.is_path:
                    value = self._in_study(value)
                table[info.name] = value
                self.found.origins[f"{section}.{info.name}"] = self.config.place(name)
        own: Callable[[Config], Mapping[str, Any]] | None = getattr(cls, "from_legacy", None)
        if own is not None:
            table |= own(self.config)
        return table

    def _in_study(self, value: Any) -> Any:
        """A path of the old study, or a list of such, as it stands in the run file."""
        if isinstance(value, (list, tuple)):
            return [self._in_study(item) for item in value]
        return self.config.in_study(self.config.find(str(value)))

    def _use(
        self, role: type[Capability], section: str, method: Method, option: str
    ) -> type[Capability] | None:
        """Say which capability fills a section, and with which options; None if it is not installed."""
        self._put_from(section, "use", method.capability, option)
        cls = self._find(role, method.capability)
        if cls is None:
            self.found.unavailable.add(section)
            self._missing(role, method, option)
            return None
        for key, value in self._declared(cls, section).items():
            origin = self.found.origins.get(f"{section}.{key}", cls.name)
            self._put(section, key, value, origin)
        return cls

    def _take(self, cls: type[Capability], section: str) -> None:
        """Fill a section by a capability that a change has chosen, with the options of the old study."""
        self._put(section, "use", cls.name, "ald.toml")
        for key, value in self._declared(cls, section).items():
            self._put(section, key, value, self.found.origins.get(f"{section}.{key}", cls.name))

    def _missing(self, role: type[Capability], method: Method, option: str) -> None:
        self.config.complain(
            option,
            f"{self.config.value(option)!r} needs the {role.role} '{method.capability}' of the plugin "
            f"{method.distribution}, which is not installed; install it, or choose another {role.role}",
        )

    # ------------------------------------------------------------ sections

    def _study(self) -> None:
        config = self.config
        self.n_cases = config.whole("NO_CASES")
        if self.n_cases < 1:
            config.complain("NO_CASES", "at least one case is needed")
        self.found.used.add("NO_CASES")
        self._put_from("study", "elements", config.texts("ATOM_TYPES"), "ATOM_TYPES")
        said = "the existing driver takes its cycles from the command line; `ald run --cycles 5`"
        self._put("study", "cycles", 3, said)
        self._put_from("study", "seed", config.whole("SEED"), "SEED")
        stop = config.text("STOP_AFTER")
        self.found.used.add("STOP_AFTER")
        if stop == "SOLVE_AMAT":
            self.found.warnings.append(config.about("STOP_AFTER", "give `ald run --fit-only`"))
        elif stop and stop != "None":
            config.complain("STOP_AFTER", f"ald cannot stop after {stop}; remove it")
        self.found.used.add("N_HYPER_SETS")

    def _training(self) -> None:
        config = self.config
        folder = config.file("ALC0_FILES")
        said = "the existing driver fits everything; 0.2 would give a learning curve"
        self._put("training", "held_out", 0.0, said)
        listing = folder / "traj_list.dat"
        self.entries = read_traj_list(listing)
        self.found.used.add("ALC0_FILES")
        frames, self.contents = training_frames(config, folder, listing, self.entries)
        self.found.tables["training"]["frames"] = frames
        for i, entry in enumerate(e for e in self.entries if e.frames):
            place = f"{config.in_study(listing)}, line {entry.line}"
            self.found.origins[f"training.frames[{i}]"] = place

    def _fitter(self) -> None:
        config = self.config
        features = self._features(Fitter)
        chosen = chosen_capability(self.registry, self.changes, Fitter, "fitter")
        if not features and chosen is not None:
            self.external["fit"] = "parallel"
            self._take(chosen, "fitter")
            self.found.used.add("CHIMES_SRCDIR")
        else:
            section = "fitter"
            for feature in features:
                if self._find(Fitter, feature.method.capability):
                    self._use(Fitter, section, feature.method, feature.option)
                    group = feature.method.capability
                    self.found.used.update(n for n, o in OPTIONS.items() if o.group == group)
                    section += ".inner"
                else:
                    self._missing(Fitter, feature.method, feature.option)
            self._embedded_fitter(section)
        self._check_baselines()
        folder = config.file("ALC0_FILES")
        if config.whole("N_HYPER_SETS") == 1:
            elements = config.texts("ATOM_TYPES")
            setup = folder / "fm_setup.in"
            problems, warnings = check_setup(setup, elements, self.entries, self.contents)
            config.problems += problems
            self.found.warnings += warnings
        else:
            config.complain(
                "N_HYPER_SETS", "simultaneous fits of several fm_setup.in (turbo) are not supported"
            )
            self.found.unavailable.add("fitter")

    def _check_baselines(self) -> None:
        config = self.config
        setup = config.file("ALC0_FILES") / "fm_setup.in"
        hierarchical = config.is_given("DO_HIERARCH") and config.flag("DO_HIERARCH")
        told = self._find(Fitter, "hierarchical") is not None  # it tells more
        if hierarchical and not told and setup.is_file():
            config.problems += hierarchical_problems(config, setup)
        if config.is_given("FIT_CORRECTION") and config.flag("FIT_CORRECTION"):
            temperatures = [e.temperature for e in self.entries if e.temperature is not None]
            checked = self._find(Fitter, "correction") is not None
            config.problems += correction_problems(config, temperatures, checked=checked)

    def _embedded_fitter(self, section: str) -> None:
        cls = self._find(Fitter, "chimes")
        if cls is None:
            self._problem("the fitter 'chimes' is not installed; pip install ald-chimes-lsq")
            self.found.unavailable.add("fitter")
            return
        self._put(section, "use", "chimes", "the embedded engine")
        for key, value in self._declared(cls, section).items():
            self._put(section, key, value, self.found.origins[f"{section}.{key}"])

    def _features(self, role: type[Capability]) -> list[Feature]:
        """What is switched on and needs a capability of its own in a role; each wraps the next."""
        found = []
        for feature in FEATURES:
            if feature.role == role.role and self.config.is_given(feature.option):
                if self.config.flag(feature.option):
                    found.append(feature)
                else:
                    self.found.used.add(feature.option)
        return found

    def _weighting(self) -> None:
        config = self.config
        tables: list[Table] = []
        names = ("WEIGHTS_SET_ALC_0", "WEIGHTS_ALC_0")
        by_rows = config.is_given(names[0]) and config.flag(names[0])
        self.found.used.update(names)
        if by_rows and self._find(Weighting, "rows") is None:
            config.complain(names[0], "needs the weighting 'rows'; pip install ald-chimes-lsq")
        elif by_rows and not config.is_given(names[1]):
            config.complain(names[0], "WEIGHTS_ALC_0 must name the file with the weights")
        elif by_rows:
            rows = {
                "file": config.in_study(config.file(names[1])),
                "setup": config.in_study(config.file("ALC0_FILES") / "fm_setup.in"),
                "sources": [Path(e.file).stem for e in self.entries if e.frames],
            }
            tables.append({"use": "rows", **rows})
            self.found.origins["weighting[0]"] = config.place(*names)
        cls = self._find(Weighting, "formula")
        if cls is not None:
            section = f"weighting[{len(tables)}]"
            once = {"starting_set": False} if by_rows else {}
            tables.append({"use": "formula", **self._declared(cls, section), **once})
        self.found.tables["weighting"] = tables

    def _md(self) -> None:
        word = self.config.text("MD_STYLE")
        method = MD_ENGINES.get(word)
        if method is None:
            self.config.complain("MD_STYLE", f"{word!r} is none of {', '.join(MD_ENGINES)}")
            self.found.unavailable.add("md")
            return
        chosen = chosen_capability(self.registry, self.changes, MDEngine, "md")
        if word == "CHIMES" and chosen is not None:
            self._external_md(chosen)
        elif self._use(MDEngine, "md", method, "MD_STYLE") is not None:
            self.found.used.add("RUN_MOLANAL")
            self._skipped_frames()

    def _external_md(self, chosen: type[Capability]) -> None:
        self._take(chosen, "md")
        self.found.used.update(OF_CHIMES_MD)
        program = self.found.tables["md"].get("program")
        self.external["md"] = md_program(self.config, program)
        if self.config.is_given("MOLANAL") and "bonds" not in self.found.tables["md"]:
            text = f"molecules are not looked for after runs of the md engine '{chosen.name}'"
            self.found.warnings.append(self.config.about("MOLANAL", text))

    def _skipped_frames(self) -> None:
        if "bonds" not in self.found.tables["md"]:
            return
        folder = self.config.file("MD_FILES")
        for path in (folder / f"case-{i}.skip.dat" for i in range(self.n_cases)):
            if skips_frames(path):
                text = (
                    f"{path}: is not read; molecules are looked for in every frame of a trajectory"
                )
                self.found.warnings.append(text)

    def _cases(self) -> None:
        self.found.used.update(("MDFILES", "MD_FILES"))
        if self.config.text("MD_STYLE") in FILES:
            tables = case_tables(self.config, self.entries, self.n_cases)
            self.found.tables["case"] = tables
            for i in range(len(tables)):
                self.found.origins[f"case[{i}]"] = self.config.place("MDFILES", "NO_CASES")

    def _selector(self) -> None:
        if self.config.is_given("DO_CLUSTER") and self.config.flag("DO_CLUSTER"):
            self.config.problems += cluster_problems(self.config)
        feature = next(iter(self._features(Selector)), None)
        if feature is not None and self._find(Selector, feature.method.capability):
            self._use(Selector, "selector", feature.method, feature.option)
            return
        if feature is not None:
            self._missing(Selector, feature.method, feature.option)
        said = "the rule of the existing driver"
        self._put("selector", "use", "even", said)
        self._put("selector", "per_class", 20, said)

    def _labeler(self, kind: str, option: str) -> None:
        config = self.config
        word = config.text(option)
        method = LABELERS.get(word)
        if method is None:
            config.complain(option, f"{word!r} is none of {', '.join(LABELERS)}")
            self.found.unavailable.add(f"labelers.{kind}")
            return
        if (kind, word) in (("bulk", "Gaussian"), ("gas", "LMP")):
            frames = "molecules" if kind == "bulk" else "periodic frames"
            config.complain(option, f"{word} labels {frames} only")
        cls = self._use(Labeler, f"labelers.{kind}", method, option)
        program = f"{method.prefix}EXE"
        if cls is None:
            temperatures = [t for t in self._smearing() if t is not None]
            elements = config.texts("ATOM_TYPES")
            config.problems += missing_inputs(word, config.file("QM_FILES"), elements, temperatures)
            if not config.is_given(program):
                config.complain(program, "is required: the program that labels")
            elif shutil.which(config.text(program)) is None:
                config.complain(program, "there is no such program on this machine")
        smear = config.value("THIS_SMEAR")
        if smear and "THIS_SMEAR" not in self.found.used:
            strange = [
                t
                for t in self._smearing(own=False)
                if t is not None and t != config.number("THIS_SMEAR")
            ]
            self.found.used.add("THIS_SMEAR")
            if strange:
                config.complain(
                    "THIS_SMEAR", "labels are made at the temperature of their case; remove it"
                )

    def _smearing(self, *, own: bool = True) -> list[float | None]:
        """Electronic temperatures of the cases: that of THIS_SMEAR, or those of the list."""
        if own and self.config.value("THIS_SMEAR"):
            return [self.config.number("THIS_SMEAR")]
        return [entry.temperature for entry in self.entries[: self.n_cases]]

    def _scheduler(self) -> None:
        config = self.config
        word = config.text("HPC_SYSTEM")
        self.found.used.add("HPC_SYSTEM")
        chosen = self.changes.get("scheduler", {})
        chosen = chosen.get("use") if isinstance(chosen, dict) else None
        if chosen is None and word not in SLURM:
            config.complain(
                "HPC_SYSTEM", f"{word!r} is none of {', '.join(SLURM)}; ald speaks Slurm"
            )
        cluster = (chosen or "slurm") == "slurm"
        if cluster and chosen is None and not requests.slurm_is_here():
            cluster = False
            message = f"{word}, but no Slurm is set up on this machine: jobs run here, and ask for nothing"
            self.found.warnings.append(config.about("HPC_SYSTEM", message))
        self._put_from("scheduler", "use", "slurm" if cluster else "local", "HPC_SYSTEM")
        if not cluster:
            here = self.found
            self.found = Translation(config, {})
            self._requests()
            here.elsewhere = self.found.tables
            here.origins |= {k: v for k, v in self.found.origins.items() if k not in here.origins}
            here.used |= self.found.used
            self.found = here
            return
        if self._find(Scheduler, "slurm") is None:
            self.found.unavailable.add("scheduler")
            self._problem("the scheduler 'slurm' is not installed; pip install ald-slurm")
        self._requests()

    def _requests(self) -> None:
        config = self.config
        labeler = LABELERS.get(config.text("BULK_QM_METHOD"))
        clusters = config.is_given("DO_CLUSTER") and config.flag("DO_CLUSTER")
        gas = LABELERS.get(config.text("IGAS_QM_METHOD")) if clusters else None
        usual: Programs = "embedded" if config.text("MD_STYLE") == "CHIMES" else "parallel"
        fit, md = self.external.get("fit", "embedded"), self.external.get("md", usual)
        asked = requests.requested(config, labeler, self.n_cases, fit=fit, md=md, gas=gas)
        for section, key, value, names in asked.entries:
            self._put_from(section, key, value, *names)
        for i, table in asked.cases.items():
            if i < len(self.found.tables.get("case", [])):
                self.found.tables["case"][i]["resources"] = table
        self.found.used |= asked.used
        self.found.warnings += asked.warnings

    def _notify(self) -> None:
        address = self.config.text("EMAIL_ADD")
        self.found.used.add("EMAIL_ADD")
        if not address:
            return
        if self._find(Notifier, "mail") is None:
            message = "mails need the plugin ald-mail, which is not installed"
            self.found.warnings.append(self.config.about("EMAIL_ADD", message))
            return
        self.found.tables["notify"] = [{"use": "mail", "to": [address]}]
        self.found.origins["notify[0].to"] = self.config.place("EMAIL_ADD")

    def _remarks(self) -> None:
        config = self.config
        home = config.text("WORKING_DIR").rstrip("/")
        self.found.used.add("WORKING_DIR")
        if home and Path(home).resolve() != config.folder.resolve():
            message = f"is {home}; the study is read where its config.py is now"
            self.found.warnings.append(config.about("WORKING_DIR", message))
