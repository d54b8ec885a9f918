"""The example studies of the existing driver: what is said of them, what becomes of them."""

import attrs
import pytest
from old_studies import (
    DATA,
    DOCUMENT,
    HEADER,
    STUDIES,
    FakeVasp,
    is_about,
    lines,
)

from ald_core.errors import InputError, InputErrors
from ald_core.legacy.documentation import options_table
from ald_core.legacy.options import OPTIONS
from ald_core.registry import Offer, Registry
from ald_core.runfile import read_old, read_run_file

# ---------------------------------------------------------------- what is said


def test_molten_carbon(old):
    study = old("molten_carbon")
    said, warnings, problems = lines(study / "config.py")
    assert "22 options" in said[0]
    assert is_about(said, "not needed", "CHIMES_BUILD_NODES, CHIMES_SOLVE_NODES")
    assert is_about(said, "MD_PPN", "no effect")
    assert is_about(said, "default of USE_AL_STRS: -1", "documentation: 0")
    assert is_about(warnings, "line 11", "WORKING_DIR", "/usr/WS2")
    assert is_about(warnings, "HPC_SYSTEM", "no Slurm")
    assert is_about(problems, "BULK_QM_METHOD", "'VASP'", "ald-vasp", "not installed")
    assert is_about(problems, "C.POTCAR", "licensed")
    assert is_about(problems, "line 38: VASP_EXE", "no such program")
    assert len(problems) == 3


def test_two_cases(old):
    study = old("hydrogen_two_cases")
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "H.POTCAR")
    assert len(problems) == 3
    tables = read_old(study / "config.py", Registry()).tables
    assert [(c["name"], c["temperature"]) for c in tables["case"]] == [
        ("case-0", 300),
        ("case-1", 2000),
    ]
    assert [f["first"] for f in tables["training"]["frames"]] == [54, 50]
    assert tables["weighting"][0]["stress"] == {
        "styles": ["A", "B"],
        "parameters": [[100.0], [1.0, -1.0]],
    }
    assert tables["fitter"] == {
        "use": "chimes", "setup": "ALL_BASE_FILES/ALC-0_BASEFILES/fm_setup.in", "algorithm": "lasso", "alpha": 1e-8,
        "normalize": True, "new_stress": "full", "new_stress_from": 1,
    }  # fmt: skip
    assert tables["notify"] == [{"use": "mail", "to": ["you@example.org"]}]


def test_hierarchical(old):
    said, warnings, problems = lines(old("hierarchical_CN") / "config.py")
    assert is_about(problems, "line 81: DO_HIERARCH", "ald-hierarchical")
    assert is_about(problems, "C.POTCAR")
    assert is_about(problems, "N.POTCAR")
    assert is_about(warnings, "line 27: N_HYPER_SET", "did you mean 'N_HYPER_SETS'")
    assert is_about(said, "HIERARCH_PARAM_FILES", "plugin that is missing")
    assert len(problems) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"orders": "26 10 4"}, "line 22: the orders 25 10 4 .PAIRTYP. are lower than those of C.params.*, 26 10 4"),
        ({"cutoff": "CUBIC"}, "FCUTTYP is 'TERSOFF 0.75', but that of C.params.txt.reduced is 'CUBIC'"),
        ({"element": "N"}, "both describe N, which would be subtracted twice"),
        ({"element": "O"}, "describes O, not among ATOM_TYPES"),
        (None, "C.params.txt.reduced: is no ChIMES parameter file"),
        ((), "C.params.txt.reduced: cannot be read .No such file"),
    ],
)  # fmt: skip
def test_parameter_files_go_with_the_setup(old, change, message):
    study = old("hierarchical_CN")
    path = study / "ALL_BASE_FILES/HIERARCH_PARAMS/C.params.txt.reduced"
    if change == ():
        path.unlink()
    else:
        values = {"orders": "20 10 4", "element": "C", "cutoff": "TERSOFF 0.75"} | (change or {})
        path.write_text(HEADER.format(**values) if change else "nothing")
    with pytest.raises(InputErrors, match=message):
        read_run_file(study / "config.py", Registry(), cycles=0)


def test_clusters(old):
    _, _, problems = lines(old("cluster_water") / "config.py")
    assert is_about(problems, "traj_list.dat, line 2", "reactive_water.xyzf")
    assert is_about(problems, "line 62: DO_CLUSTER", "ald-cluster")
    assert is_about(problems, "IGAS_QM_METHOD", "ald-vasp")
    assert is_about(problems, "O.POTCAR")
    assert len(problems) == len(set(problems)) == 7


def test_cp2k(old):
    study = old("silica_cp2k")
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "line 68: BULK_QM_METHOD", "'CP2K'", "ald-cp2k")
    assert is_about(problems, "line 72: CP2K_EXE")
    assert len(problems) == 2
    (study / "ALL_BASE_FILES/QM_BASEFILES/300.cp2k.inp").unlink()
    (study / "ALL_BASE_FILES/QM_BASEFILES/Si.cp2k.qm_basis-block.inp").unlink()
    _, _, problems = lines(study / "config.py")
    assert is_about(problems, "300.cp2k.inp")
    assert is_about(problems, "Si.cp2k.qm_basis-block.inp")


def test_turbo(old):
    study = old("turbo_propane")
    _, warnings, problems = lines(study / "config.py")
    assert is_about(problems, "line 42: N_HYPER_SETS", "turbo")
    assert is_about(problems, "traj_list.dat, line 2", "test_data.xyzf")
    assert is_about(problems, "line 58: MD_STYLE", "ald-lammps")
    assert is_about(problems, "line 70: BULK_QM_METHOD", "ald-lammps")
    assert is_about(warnings, "restart.dat", "cycles 1, 2, 3 are complete")


@pytest.mark.parametrize("name", STUDIES)
def test_every_given_option_is_accounted_for(old, name):
    study = read_old(old(name) / "config.py", Registry())
    said = "\n".join(study.account())
    for option_name in study.config.evaluated.assignments:
        known = OPTIONS.get(option_name)
        assert known is None or option_name in study.translation.used or option_name in said


def test_every_option_of_the_existing_driver_is_known():
    names = (DATA / "option_names.txt").read_text().split()
    assert len(names) > 123
    assert sorted(names) == sorted(OPTIONS)


def test_the_documented_table_is_that_of_the_code():
    table = DOCUMENT.read_text().partition("<!-- legacy options -->")[2].strip()
    wanted = options_table(Registry())
    assert table == wanted, f"replace the table after the mark by:\n{wanted}"


def test_plugins_take_known_options_only():
    for offer in Registry().offers:
        for field in attrs.fields(offer.capability):
            legacy = field.metadata.get("ald.option", {}).get("legacy")
            assert legacy is None or legacy.name in OPTIONS


# ---------------------------------------------------------------- something otherwise

ASE = 'config = "config.py"\n[labelers.bulk]\nuse = "ase"\n'


def test_a_labeler_is_replaced_with_all_that_was_said_of_it(old):
    study = old("molten_carbon")
    (study / "ald.toml").write_text(ASE)
    said, _, found = lines(study / "ald.toml")
    assert said[-1].endswith("ald.toml: labelers.bulk")
    assert "starting set: 25 frames, 0 to be labelled first, 0 held out" in found
    assert "labelers.bulk: labeler 'ase'" in found
    assert "case case-0: 6000 K" in found


def test_single_options_are_replaced(old):
    study = old("molten_carbon")
    (study / "ald.toml").write_text(ASE + "[md]\nsteps = 50\n[fitter]\nalpha = 1e-3\n")
    runfile = read_run_file(study / "ald.toml", Registry())
    assert runfile.crew.md.steps == 50
    assert runfile.crew.md.penalty_distance == 0.02
    assert runfile.crew.fitter.alpha == 1e-3
    assert runfile.crew.fitter.normalize
    assert runfile.folder.resolve() == study.resolve()


def test_a_single_fit_needs_no_labeler(old):
    runfile = read_run_file(old("molten_carbon") / "config.py", Registry(), cycles=0)
    assert runfile.crew.labelers == {}


def test_what_is_otherwise_is_checked(old):
    study = old("molten_carbon")
    (study / "ald.toml").write_text(ASE + "[md]\nstep = 50\n")
    _, _, problems = lines(study / "ald.toml")
    assert is_about(problems, "md.step: no such option; did you mean 'steps'?")
    (study / "ald.toml").write_text("config = 3\n")
    with pytest.raises(InputError, match=r"must be the name of a config\.py"):
        read_run_file(study / "ald.toml", Registry())
    (study / "ald.toml").write_text('config = "nowhere.py"\n')
    with pytest.raises(InputError, match="no such file"):
        read_run_file(study / "ald.toml", Registry())


def test_what_jobs_ask_for(old, slurm):
    study = old(
        "hydrogen_two_cases", ('MD_QUEUE = ["pdebug",  "pdebug"]', 'MD_QUEUE = ["pdebug", "long"]')
    )
    tables = read_old(study / "config.py", Registry()).tables
    assert tables["scheduler"] == {"use": "slurm"}
    resources = tables["resources"]
    assert resources["account"] == "mybank"
    assert resources["fit"] == {"cores": 36, "queue": "pdebug", "time": "1:00:00"}
    assert resources["md"] == {"time": "1:00:00"}
    assert [c["resources"] for c in tables["case"]] == [{"queue": "pdebug"}, {"queue": "long"}]
    assert resources["label"] == {
        "nodes": 15, "ppn": 50, "queue": "pdebug", "time": "01:00:00", "launcher": "srun", "tasks_per_job": 40,
        "modules": ["intel-classic/2021.6.0-magic", "mkl-interfaces/2022.1.0", "mkl/2022.1.0", "mvapich2/2.3.7"],
    }  # fmt: skip
    (study / "ald.toml").write_text(ASE)
    label = read_old(study / "ald.toml", Registry()).tables["resources"]["label"]
    assert label == {"queue": "pdebug", "time": "01:00:00"}
    runfile = read_run_file(study / "ald.toml", Registry())
    assert runfile.crew.scheduler.name == "slurm"
    assert runfile.resources["label"].account == "mybank"
    assert [case.resources.queue for case in runfile.cases] == ["pdebug", "long"]
    assert [case.resources.time for case in runfile.cases] == ["01:00:00", "01:00:00"]


def test_tacc_and_mails_of_slurm(old, slurm):
    study = old("hierarchical_CN", ("HPC_EMAIL     = False", "HPC_EMAIL = True"))
    resources = read_old(study / "config.py", Registry()).tables["resources"]
    assert resources["label"]["launcher"] == "ibrun"
    assert resources["mail"] == "you@example.org"
    assert resources["fit"]["cores"] == 48


def test_memory_where_it_is_asked_for(old, slurm):
    study = old("silica_cp2k", ("HPC_ACCOUNT =", "HPC_SYSTEM = 'UM-ARC'\nHPC_ACCOUNT ="))
    assert (
        read_old(study / "config.py", Registry()).tables["resources"]["label"]["memory"] == "128GB"
    )


def test_another_scheduler_is_refused(old):
    study = old("molten_carbon", ("HPC_ACCOUNT ", "HPC_SYSTEM = 'torque'\nHPC_ACCOUNT "))
    assert is_about(lines(study / "config.py")[2], "line 13: HPC_SYSTEM", "'torque'")


def test_a_plugin_takes_its_options(old):
    registry = Registry()
    registry.offers.append(Offer(FakeVasp, "ald-vasp 0.1.0"))
    study = old("molten_carbon")
    runfile = read_run_file(study / "config.py", registry)
    labeler = runfile.crew.labelers["bulk"]
    assert labeler.command == "/usr/gapps/emc-vasp/vasp.5.4.4/build/gam/vasp"
    assert labeler.files == study / "ALL_BASE_FILES" / "QM_BASEFILES"
    assert labeler.processes == 72
    assert (
        "QM_FILES"
        in options_table(registry).partition("`files` of labeler vasp")[0].splitlines()[-1]
    )
