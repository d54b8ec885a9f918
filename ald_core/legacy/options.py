"""Every option of the existing driver and what becomes of it.

Sources: its documentation and the behaviour of its releases 1.0.0 to 2.0.0 and later commits. Defaults are those of the
code, as expressions in which other options may stand; where the documentation says something else, `said` tells.
Options that belong to a plugin are mapped by the plugin: an option declared with `legacy="VASP_EXE"` takes the value of
`VASP_EXE`.
"""

from __future__ import annotations

from typing import Literal

import attrs

Fate = Literal["used", "plugin", "external", "unneeded", "refused"]
"""used: becomes what `text` names; plugin: is taken by the plugin that `text` names, if it knows it; external: by that
for programs of the user if it is chosen, else the embedded engine does the work; unneeded, refused: `text` says why"""


@attrs.frozen
class LegacyOption:
    """One option of a `config.py`."""

    name: str
    group: str
    default: str | None
    """Expression of what the code takes; None: must be given, or nothing"""
    fate: Fate
    text: str
    said: str = ""
    """Where the documentation says something else than the code"""
    later: bool = False
    """Known to releases after the documented one only"""


_ENGINE = "the embedded engine does the work"
_EXTERNAL_FIT = "the fitter chimes-external"
_EXTERNAL_MD = "the md engine chimes_md"
_SCRIPT = "a script of the existing driver; ald reads outputs itself"
_NOWHERE = "it has no effect in the existing driver either"

_rows: list[LegacyOption] = []


def _row(
    group: str, name: str, default: str | None, fate: Fate, text: str, said: str = "", later: bool = False
) -> None:  # fmt: skip
    _rows.append(LegacyOption(name, group, default, fate, text, said, later))


# ---------------------------------------------------------------- general

_row("general", "EMAIL_ADD", "False", "used", "notify (mail)", 'documentation: ""')
_row("general", "SEED", "1", "used", "study.seed; of every random choice, also of MD")
_row("general", "ATOM_TYPES", None, "used", "study.elements")
_row("general", "NO_CASES", None, "used", "case")
_row(
    "general",
    "MOLANAL_SPECIES",
    '[""]',
    "plugin",
    "md engine chimes: molecules of a study with MOLANAL",
)
_row(
    "general", "USE_AL_STRS", "-1", "plugin", "fitter chimes: first fit with stresses of new frames",
    "documentation: 0; a negative number that is given means never",
)  # fmt: skip
_row("general", "STRS_STYLE", '"ALL"', "plugin", "fitter chimes: stress components of new frames")
_row(
    "general",
    "THIS_SMEAR",
    "None",
    "plugin",
    "temperature of a labeler; if it has none, it must be that of the cases",
)
_row("general", "DRIVER_DIR", '""', "unneeded", "no script of the existing driver is used")
_row("general", "WORKING_DIR", '""', "used", "the folder of config.py, wherever it is now")
_row("general", "CHIMES_SRCDIR", '""', "external", _EXTERNAL_FIT)

# ---------------------------------------------------------------- HPC

_row("HPC", "HPC_PPN", "36", "used", "resources.fit.cores; and where others default to it")
_row("HPC", "HPC_ACCOUNT", None, "used", "resources.account", "documentation of 1.0.0: pbronze")
_row("HPC", "HPC_SYSTEM", '"slurm"', "used", "scheduler; launcher in resources")
_row("HPC", "HPC_PYTHON", '"python3"', "external", _EXTERNAL_FIT)
_row(
    "HPC", "HPC_EMAIL", "False", "used", "resources.mail, resources.mail_on",
    "documentation of 1.0.0: True, and that it controls the mails of the driver",
)  # fmt: skip

# ---------------------------------------------------------------- fit

_fit = "fit"
_row(
    _fit, "ALC0_FILES", 'WORKING_DIR + "/ALL_BASE_FILES/ALC-0_BASEFILES/"', "used",
    "training.frames; fitter.setup (fm_setup.in in it)",
)  # fmt: skip
_row(_fit, "CHIMES_LSQ", 'CHIMES_SRCDIR + "../build/chimes_lsq"', "external", _EXTERNAL_FIT)
_row(_fit, "CHIMES_LSQ_MODULES", '""', "external", _EXTERNAL_FIT, later=True)
_row(_fit, "CHIMES_SOLVER", 'CHIMES_SRCDIR + "../build/chimes_lsq.py"', "external", _EXTERNAL_FIT)
_row(
    _fit, "CHIMES_POSTPRC", 'CHIMES_SRCDIR + "/../build/post_proc_chimes_lsq.py"', "unneeded", _ENGINE,
)  # fmt: skip
_row(
    _fit, "N_HYPER_SETS", "1", "refused",
    "simultaneous fits of several fm_setup.in are not supported; only 1 is accepted", later=True,
)  # fmt: skip
_row(_fit, "WEIGHTS_SET_ALC_0", "False", "used", "weighting rows, of ald-chimes-lsq")
_row(_fit, "WEIGHTS_ALC_0", "None", "used", "weighting.file, of rows")
for _name, _weight in (
    ("FORCE", 1.0),
    ("FGAS", 5.0),
    ("ENER", 0.1),
    ("EGAS", 0.1),
    ("STRES", 250.0),
):
    _row(_fit, f"WEIGHTS_{_name}", f'[["A"], [[{_weight}]]]', "plugin", "weighting formula")
_row(_fit, "REGRESS_ALG", '"dlasso"', "plugin", "fitter chimes")
_row(_fit, "REGRESS_VAR", "1.0E-5", "plugin", "fitter chimes")
_row(_fit, "REGRESS_NRM", "True", "plugin", "fitter chimes")
_row(_fit, "CHIMES_BUILD_NODES", "4", "external", _EXTERNAL_FIT)
_row(
    _fit,
    "CHIMES_BUILD_QUEUE",
    '"pbatch"',
    "unneeded",
    "the fit runs in the queue of CHIMES_SOLVE_QUEUE",
)
_row(_fit, "CHIMES_BUILD_TIME", '"04:00:00"', "used", "resources.fit.time, if it is the longer one")
_row(_fit, "CHIMES_SOLVE_NODES", "8", "external", _EXTERNAL_FIT)
_row(_fit, "CHIMES_SOLVE_PPN", "HPC_PPN", "external", _EXTERNAL_FIT)
_row(_fit, "CHIMES_SOLVE_QUEUE", '"pbatch"', "used", "resources.fit.queue")
_row(
    _fit, "CHIMES_SOLVE_TIME", '"24:00:00"', "used", "resources.fit.time", "documentation: 04:00:00",
)  # fmt: skip

# ---------------------------------------------------------------- molecular dynamics

_md = "molecular dynamics"
_row(_md, "MD_STYLE", '"CHIMES"', "used", "md.use", "documentation of 1.0.0: required")
_row(_md, "MD_MPI", "CHIMES_MD_MPI", "external", _EXTERNAL_MD, later=True)
_row(_md, "MD_SER", "CHIMES_MD_SER", "external", _EXTERNAL_MD, later=True)
_row(
    _md,
    "MD_MODULES",
    "CHIMES_MD_MODULES",
    "used",
    "resources.md.modules, for an external engine",
    later=True,
)
_row(_md, "CHIMES_MD_MPI", 'CHIMES_SRCDIR + "/../build/chimes_md-mpi"', "external", _EXTERNAL_MD)
_row(
    _md, "CHIMES_MD_SER", 'CHIMES_SRCDIR + "/../build/chimes_md-serial"', "external", _EXTERNAL_MD,
)  # fmt: skip
_row(_md, "CHIMES_MD_MODULES", '""', "external", _EXTERNAL_MD, later=True)
_row(_md, "CHIMES_MD", "None", "unneeded", _NOWHERE, later=True)
_row(_md, "DFTB_MD_SER", "None", "unneeded", _NOWHERE, "documentation: needed for MD_STYLE DFTB")
_row(
    _md, "MDFILES", 'WORKING_DIR + "/ALL_BASE_FILES/CHIMESMD_BASEFILES/"', "used",
    "case.input, case.structure (case-0.indep-0.run_md.in, case-0.indep-0.input.xyz, …); md.bonds (bonds.dat), with "
    "MOLANAL",
)  # fmt: skip
_row(_md, "MD_NODES", "[4] * NO_CASES", "used", "resources of the cases, for an external engine")
_row(_md, "MD_QUEUE", '["pbatch"] * NO_CASES', "used", "resources.md.queue, or of the cases")
_row(_md, "MD_TIME", '["4:00:00"] * NO_CASES', "used", "resources.md.time, or of the cases")
_row(
    _md,
    "CHIMES_PEN_PREFAC",
    "1.0E6",
    "plugin",
    "md engine chimes",
    "the code takes 1.0E6 whatever it says",
)
_row(
    _md,
    "CHIMES_PEN_DIST",
    "0.02",
    "plugin",
    "md engine chimes",
    "the code takes 0.02 whatever it says",
)
_row(_md, "RUN_MOLANAL", "True", "used", "False: md.bonds and md.species are left out", later=True)
_row(
    _md,
    "MOLANAL",
    '""',
    "plugin",
    "md engine chimes: speciation",
    "a folder; documentation: an executable",
)

# ---------------------------------------------------------------- correction, hierarchical

_correction = "correction"
for _name, _default in (
    ("FIT_CORRECTION", "False"),
    ("CORRECTED_TYPE", "None"),
    ("CORRECTED_TYPE_FILES", "None"),
    ("CORRECTED_TYPE_EXE", "None"),
    ("CORRECTED_TEMPS_BY_FILE", "None"),
):
    _row(_correction, _name, _default, "plugin", "fitter correction, of ald-hierarchical")
_hierarchical = "hierarchical"
_row(_hierarchical, "DO_HIERARCH", "False", "plugin", "fitter hierarchical, of ald-hierarchical")
_row(
    _hierarchical,
    "HIERARCH_PARAM_FILES",
    "[]",
    "plugin",
    "fitter hierarchical, of ald-hierarchical",
)
_row(
    _hierarchical,
    "HIERARCH_METHOD",
    "MD_STYLE",
    "unneeded",
    _ENGINE,
    later=True,
)
_row(_hierarchical, "HIERARCH_EXE", "MD_SER", "unneeded", _ENGINE)

# ---------------------------------------------------------------- clusters

_cluster = "clusters"
for _name, _default in (
    ("DO_CLUSTER", "False"),
    ("MAX_CLUATM", "100"),
    ("TIGHT_CRIT", 'WORKING_DIR + "/ALL_BASE_FILES/tight_bond_crit.dat"'),
    ("LOOSE_CRIT", 'WORKING_DIR + "/ALL_BASE_FILES/loose_bond_crit.dat"'),
    ("MEM_BINS", "40"),
    ("MEM_CYCL", "MEM_BINS / 10"),
    ("MEM_NSEL", "400"),
    ("MEM_ECUT", "100.0"),
):
    _row(_cluster, _name, _default, "plugin", "selector of ald-cluster", later=True)
_row(
    _cluster,
    "CLU_CODE",
    '""',
    "unneeded",
    "molecules are found without compiling a program",
    later=True,
)
for _name, _default in (
    ("CALC_REPO_ENER_CENT_QUEUE", '"pdebug"'),
    ("CALC_REPO_ENER_CENT_TIME", '"00:10:00"'),
    ("CALC_REPO_ENER_QUEUE", '"pbatch"'),
    ("CALC_REPO_ENER_TIME", '"04:00:00"'),
):
    _said = "its message says pbatch" if _default == '"pdebug"' else ""
    _row(_cluster, _name, _default, "unneeded", _ENGINE, _said, later=True)

# ---------------------------------------------------------------- reference methods

_reference = "reference methods"
_row(
    _reference, "QM_FILES", 'WORKING_DIR + "/ALL_BASE_FILES/QM_BASEFILES"', "plugin",
    "labelers: their input files", "documentation of 1.0.0: …/VASP_BASEFILES",
)  # fmt: skip
_row(_reference, "BULK_QM_METHOD", '"VASP"', "used", "labelers.bulk.use")
_row(_reference, "IGAS_QM_METHOD", '"VASP"', "used", "labelers.gas.use, with DO_CLUSTER")


@attrs.frozen
class Method:
    """A reference method or MD code by its name in a `config.py`."""

    capability: str
    """Name that users type after `use =`"""
    distribution: str
    prefix: str = ""
    """Of the options of the labeler"""


LABELERS = {
    "VASP": Method("vasp", "ald-vasp", "VASP_"),
    "DFTB+": Method("dftb", "ald-dftb", "DFTB_"),
    "CP2K": Method("cp2k", "ald-cp2k", "CP2K_"),
    "LMP": Method("lammps", "ald-lammps", "LMP_"),
    "Gaussian": Method("gaussian", "ald-gaussian", "GAUS_"),
}
MD_ENGINES = {
    "CHIMES": Method("chimes", "ald-chimes-md"),
    "LMP": Method("lammps", "ald-lammps"),
    "DFTB": Method("dftb", "ald-dftb"),
    "DFTB+": Method("dftb", "ald-dftb"),
}


def _labeler(
    word: str, nodes: str, ppn: str, time: str, queue: str, modules: str | None, *, later: bool = False
) -> None:  # fmt: skip
    method = LABELERS[word]
    places = {"LMP": "resources.label", "Gaussian": "labelers.gas.resources"}
    place = places.get(word, "resources.label, labelers.gas.resources")
    jobs = f"{place}, if {word} is the method"
    said = {"CP2K_NODES": "documentation: 6", "CP2K_PPN": "documentation: HPC_PPN"}
    said |= {"VASP_NODES": "documentation of 1.0.0: 6", "LMP_TIME": "documentation: a list"}
    values = {"NODES": nodes, "PPN": ppn, "MEM": '""', "TIME": time, "QUEUE": queue}
    for key, default in values.items():
        name = method.prefix + key
        newer = later or key == "MEM"
        _row(word, name, default, "used", jobs, said.get(name, ""), newer)
    if modules is not None:
        name = f"{method.prefix}MODULES"
        _row(word, name, modules, "used", jobs, said.get(name, ""), later)
    _row(
        word,
        f"{method.prefix}EXE",
        None,
        "plugin",
        f"labeler of {method.distribution}",
        later=later,
    )
    _row(word, f"{method.prefix}POSTPRC", "None", "unneeded", _SCRIPT, later=True)
    if word != "Gaussian":
        _row(
            word,
            f"{method.prefix}FILES",
            "QM_FILES",
            "unneeded",
            f"{_NOWHERE}; QM_FILES is",
            later=later,
        )


_HOURS = '"04:00:00"'
_labeler("VASP", "[6] * NO_CASES", "HPC_PPN", _HOURS, '"pbatch"', '"mkl"')
_labeler("DFTB+", "1", "1", _HOURS, '"pbatch"', '"mkl"')
_row("DFTB+", "DFTB_POST_PROC", "None", "unneeded", f"{_SCRIPT}; a spelling of the documentation")
_labeler("CP2K", "[3] * NO_CASES", "1", _HOURS, '"pbatch"', '"mkl"', later=True)
_row("CP2K", "CP2K_DATADIR", "None", "plugin", "labeler of ald-cp2k", _NOWHERE, later=True)
_row("CP2K", "CP2K_DATDIR", "None", "unneeded", "a spelling of the documentation", later=True)
_labeler("LMP", "1", "1", '"00:30:00"', '"pdebug"', "None", later=True)
_row(
    "LMP",
    "LMP_UNITS",
    '"REAL"',
    "plugin",
    "labeler of ald-lammps",
    "the code takes REAL whatever it says",
    later=True,
)
_row("LMP", "LMP_DATADIR", "None", "unneeded", _NOWHERE, later=True)
_labeler("Gaussian", "4", "HPC_PPN", _HOURS, '"pbatch"', None)
_row("Gaussian", "GAUS_SCR", None, "plugin", "labeler of ald-gaussian")
_row("Gaussian", "GAUS_REF", None, "plugin", "labeler of ald-gaussian")

# ---------------------------------------------------------------- later and stale

_later = "later versions"
_row(
    _later, "STOP_AFTER", "None", "used", '"SOLVE_AMAT": `ald run --fit-only`; "RUN_MD" is refused', later=True,
)  # fmt: skip
_row(
    _later, "MD_OMPEXPORTS", "None", "unneeded", "jobs of MD get as many threads as resources.md.cores", later=True,
)  # fmt: skip
_row(_later, "MD_FILES", "MDFILES", "used", "as MDFILES", later=True)
_row(
    _later, "MD_DEBUG_MODE", "False", "unneeded", "seeds of MD follow from study.seed", later=True,
)  # fmt: skip
_stale = "found in examples"
for _name in ("CHIMES_MDFILES", "CHIMES_MD_NODES", "CHIMES_MD_QUEUE", "CHIMES_MD_TIME"):
    _row(
        _stale, _name, "None", "unneeded", f"a leftover of a stale program; {_NOWHERE}", later=True
    )
_row(_stale, "CHIMES_MOLANAL", "None", "unneeded", _NOWHERE, later=True)
_row(_stale, "MD_PPN", "None", "unneeded", _NOWHERE, later=True)

OPTIONS: dict[str, LegacyOption] = {row.name: row for row in _rows}
"""All of them, by name, in the order of the documentation."""


def default_of(name: str) -> str | None:
    """The expression that the code takes for an option that is not given; None if there is none."""
    known = OPTIONS.get(name)
    return known.default if known else None


@attrs.frozen
class Feature:
    """A mode of the existing driver that needs a capability of its own."""

    option: str
    role: str
    method: Method


FEATURES = (
    Feature("FIT_CORRECTION", "fitter", Method("correction", "ald-hierarchical")),
    Feature("DO_HIERARCH", "fitter", Method("hierarchical", "ald-hierarchical")),
    Feature("DO_CLUSTER", "selector", Method("cluster", "ald-cluster")),
)
