"""Whole studies with the reference crew, whose right answer is known, through the real command and real jobs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from ald_core.reference_job import LENNARD_JONES, basis


def coefficients(study, cycle):
    values = json.loads((study.path / f"ALC-{cycle}" / "GEN_FF" / "params.json").read_text())
    return values["c12"], values["c6"]


def lennard_jones(atoms):
    found = basis(atoms.positions, atoms.cell[:], atoms.pbc)
    return float(LENNARD_JONES @ found.energy), np.tensordot(LENNARD_JONES, found.forces, 1)


# ---------------------------------------------------------------- a study to its end


@pytest.mark.parametrize("cycle", [1, 2, 3])
def test_every_fit_finds_the_known_answer(undisturbed, cycle):
    assert coefficients(undisturbed, cycle) == pytest.approx((4.0, -4.0), abs=1e-10)


def test_files_are_where_users_expect_them(undisturbed):
    names = {str(p.relative_to(undisturbed.path)) for p in undisturbed.path.rglob("*")}
    assert {
        "ALC-1/GEN_FF/params.json",
        "ALC-1/GEN_FF/compare.txt",
        "ALC-1/GEN_FF/fit.json",
        "ALC-1/CASE-0_INDEP_0/trajectory.extxyz",
        "ALC-1/CASE-0_INDEP_0/md_statistics.out",
        "ALC-1/CASE-1_INDEP_0/md_statistics.out",
        "ALC-1/REFERENCE-20/CASE-0/labels.extxyz",
        "ALC-1/REFERENCE-20/CASE-1/labels.extxyz",
        "ALC-1/REFERENCE-20/given-liquid/labels.extxyz",
        "ALC-2/REFERENCE-20/CASE-0/labels.extxyz",
        "ALC-3/GEN_FF/params.json",
        "ALC-3/CASE-0_INDEP_0/trajectory.extxyz",
        "training_set.extxyz",
    } <= names
    assert not [n for n in names if n.startswith("ALC-3/REFERENCE-20")]
    assert undisturbed.litter() == []


def test_the_training_set_holds_all_labels_and_they_are_right(undisturbed):
    frames = ase.io.read(undisturbed.path / "training_set.extxyz", ":")
    assert len(frames) == 5 + 2 * 2 * 2
    assert [f.info["cycle"] for f in frames] == [0] * 5 + [1] * 4 + [2] * 4
    assert {f.info["source"] for f in frames[5:]} == {"cold", "warm"}
    assert 0 < sum(f.info["held_out"] for f in frames) < len(frames) / 2
    for frame in frames:
        energy, forces = lennard_jones(frame)
        assert frame.info["ref_energy"] == pytest.approx(energy, abs=1e-5)  # 8 digits of positions
        assert np.allclose(frame.arrays["ref_forces"], forces, atol=1e-4)


def test_picked_frames_are_those_of_the_published_rule(undisturbed):
    """6 frames of a case (steps 5 … 30), 2 wanted: every third, from the first."""
    frames = ase.io.read(undisturbed.path / "training_set.extxyz", ":")
    assert [f.info["step"] for f in frames[5:]] == [5, 20] * 4


def test_each_fit_uses_what_was_labelled_before_it_and_is_not_held_out(undisturbed):
    frames = ase.io.read(undisturbed.path / "training_set.extxyz", ":")
    for cycle in (1, 2, 3):
        fitted = [f for f in frames if f.info["cycle"] < cycle and not f.info["held_out"]]
        compare = np.loadtxt(undisturbed.path / f"ALC-{cycle}" / "GEN_FF" / "compare.txt")
        assert len(compare) == 12 * len(fitted)
        assert np.allclose(compare[:, 0], compare[:, 1], atol=1e-6)


def test_frames_remember_the_first_fit_that_uses_them(undisturbed):
    """Weights that decay with the cycle depend on it."""
    lines = (undisturbed.path / ".ald" / "training" / "2.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    assert [f["frame"]["origin"]["cycle"] for f in kept] == [0] * 5 + [1] * 4 + [2] * 4
    assert [f["first_fit"] for f in kept] == [1] * 5 + [2] * 4 + [3] * 4


def test_the_summary_is_printed(undisturbed):
    log = (undisturbed.path / "log.txt").read_text()
    assert "cycle 1: fit done" in log
    assert "cycle 2: label of warm done: 2 labelled, 0 quarantined" in log
    assert "final" in log
    assert "30/0/0" in log
    assert "model: " in log
    assert "ALC-3/GEN_FF/params.json" in log
    assert "…" not in log


def test_every_job_ran_once(undisturbed):
    assert len(undisturbed.jobs("label")) == 5 + 8
    assert len(undisturbed.jobs("fit")) == 3
    assert len(undisturbed.jobs("md")) == 6
    assert {p.name[-2:] for p in undisturbed.jobs()} == {"-1"}


def test_other_commands_look_at_it(undisturbed):
    before = undisturbed.bytes_of("**/*", ".ald/**/*")
    status = undisturbed.ald("status")
    assert status.status == 0
    assert "finished" in status.out
    assert "no jobs under way" in status.out
    assert "at work" not in status.out
    check = undisturbed.ald("check")
    assert check.status == 0
    assert "5 frames, 5 to be labelled first" in check.out
    cite = undisturbed.ald("cite")
    assert "10.1063/5.0021965" in cite.out
    assert undisturbed.bytes_of("**/*", ".ald/**/*") == before


# ---------------------------------------------------------------- again, further, only a part


def test_a_second_run_changes_no_byte(undisturbed):
    """But for a new, sealed file of the journal, and the time in the status."""
    before = undisturbed.bytes_of("**/*", ".ald/**/*")
    jobs = undisturbed.jobs()
    again = undisturbed.run()
    after = undisturbed.bytes_of("**/*", ".ald/**/*")
    assert {k for k in before if after.get(k) != before[k]} == {"status.json"}
    assert all(k.startswith(".ald/journal/") for k in after.keys() - before.keys())
    assert undisturbed.jobs() == jobs
    log = (undisturbed.path / "log.txt").read_text()
    assert again.out.splitlines()[-10:] == log.splitlines()[-10:]  # the same summary


def test_more_cycles_can_follow_and_give_the_same_as_if_asked_for_at_once(study, undisturbed):
    study.run("--fit-only")
    assert coefficients(study, 1) == pytest.approx((4.0, -4.0), abs=1e-10)
    assert not list(study.path.glob("ALC-*/CASE-*"))
    assert study.jobs("md") == []
    study.run("--cycles", 1)
    assert (study.path / "ALC-2" / "GEN_FF").is_dir()
    assert not list(study.path.glob("ALC-2/REFERENCE-20"))
    study.run()
    assert study.results() == undisturbed.results()
    assert {p.name[-2:] for p in study.jobs()} == {"-1"}


def test_order_of_finishing_and_packing_of_jobs_do_not_matter(study, undisturbed):
    study.write(
        (
            "cores = 2",
            "cores = 1\n\n[resources.label]\ntasks_per_job = 3\n\n[resources.fit]\ncores = 1",
        )
    )
    study.run()
    assert study.results() == undisturbed.results()


def test_random_order_of_jobs_does_not_matter(extended, undisturbed):
    extended.write(('use = "local"\ncores = 2', 'use = "lottery"\nlongest = 0.3'))
    extended.run()
    assert extended.results() == undisturbed.results()


def test_a_reader_that_goes_away_stops_nothing(study):
    """`ald run | head -n 1`."""
    study.write(("cycles = 2", "cycles = 1\nfinal_md = false"))
    process = study.start("run")
    assert process.stdout.readline().startswith("cycle 1: label")
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (0, "")
    process.stderr.close()
    assert coefficients(study, 2) == pytest.approx((4.0, -4.0), abs=1e-10)


# ---------------------------------------------------------------- starting sets


def test_only_frames_without_labels_are_labelled_first(study):
    """Given labels are believed: these are of another potential, so the fit cannot be 4 and −4."""
    given = [study.argon(seed) for seed in range(10, 14)]
    for atoms in given:
        energy, forces = lennard_jones(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=2 * energy, forces=2 * forces)
    ase.io.write(study.path / "inputs" / "given.extxyz", given)
    study.write(("temperature = 300 }]", 'temperature = 300 }, { file = "inputs/given.extxyz" }]'))
    study.run("--fit-only")
    assert len(study.jobs("label")) == 5
    frames = ase.io.read(study.path / "training_set.extxyz", ":")
    assert [f.info["labeler"] for f in frames] == ["given"] * 4 + ["reference"] * 5
    assert abs(coefficients(study, 1)[0] - 4.0) > 1e-3


def test_names_that_a_shell_would_understand(study):
    folder = study.path.parent / "a b'c $(touch oops) ;\n-d"
    study.path.rename(folder)
    hostile = type(study)(folder)
    (folder / "inputs" / "liquid.extxyz").rename(folder / "inputs" / "-li quid$(touch oops).extxyz")
    hostile.write(("liquid.extxyz", "-li quid$(touch oops).extxyz"))
    hostile.run("--fit-only")
    assert coefficients(hostile, 1) == pytest.approx((4.0, -4.0), abs=1e-10)
    assert not list(folder.parent.rglob("oops"))
    frames = ase.io.read(folder / "training_set.extxyz", ":")
    assert frames[0].info["id"] == "000--li_quid__touch_oops_-000000001"


# ---------------------------------------------------------------- labels that fail


def test_failures_are_retried_a_bounded_number_of_times_then_quarantined(extended):
    """Numerical failures: three more rungs. Silent ones: one identical retry. Then a person decides."""
    flaky = (
        '[labelers.bulk]\nuse = "reference"',
        '[labelers.bulk]\nuse = "flaky"\nnever = "000-liquid-000000002"\n'
        'first = "cold-000000005"\nsilent = "001-warm-000000020"',
    )
    short = ("cycles = 2", "cycles = 1\nfinal_md = false")
    extended.write(flaky, short)
    stopped = extended.ald("run")
    assert stopped.status == 4
    assert (
        "cycle 1: 1 of 4 labels failed, more than quality.max_quarantined = 0.2" in stopped.sentence
    )
    extended.write(flaky, short, ("[scheduler]", "[quality]\nmax_quarantined = 0.3\n\n[scheduler]"))
    outcome = extended.run()
    attempts = {}
    for folder in extended.jobs("label"):
        (task,) = [p.name for p in folder.iterdir() if p.is_dir()]
        attempts[task[4:]] = attempts.get(task[4:], 0) + 1
    assert attempts == {
        "000-liquid-000000001": 1,
        "000-liquid-000000002": 4,
        "000-liquid-000000003": 1,
        "000-liquid-000000004": 1,
        "000-liquid-000000005": 1,
        "001-cold-000000005": 2,
        "001-cold-000000020": 1,
        "001-warm-000000005": 1,
        "001-warm-000000020": 4,  # given another chance when the fuse had blown
    }
    assert (
        "warning: starting frame 000-liquid-000000002 is left out: SCF did not converge"
        in stopped.out
    )
    assert "cycle 1: 001-warm-000000020 is quarantined: no readable answer.json" in outcome.out
    frames = ase.io.read(extended.path / "training_set.extxyz", ":")
    assert len(frames) == 4 + 3
    assert coefficients(extended, 2) == pytest.approx((4.0, -4.0), abs=1e-10)
    jobs = extended.jobs()
    assert extended.run().status == 0  # what was given up stays given up
    assert extended.jobs() == jobs


def test_without_cycles_a_study_is_a_fit(study):
    text = (study.path / "ald.toml").read_text().replace("cycles = 2", "cycles = 0")
    (study.path / "ald.toml").write_text(
        text.split("[md]", maxsplit=1)[0] + '[labelers.bulk]\nuse = "reference"\n'
    )
    study.run()
    assert coefficients(study, 1) == pytest.approx((4.0, -4.0), abs=1e-10)


def test_too_many_failures_stop_the_run_for_a_look(extended):
    extended.write(
        ('[labelers.bulk]\nuse = "reference"', '[labelers.bulk]\nuse = "flaky"\nnever = "liquid"')
    )
    outcome = extended.ald("run")
    assert outcome.status == 4
    assert "cycle 1: 5 of 5 labels failed" in outcome.sentence
    assert "000-liquid-000000001: SCF did not converge" in outcome.sentence
    assert not (extended.path / "ALC-1" / "GEN_FF").exists()


# ---------------------------------------------------------------- what users get wrong


@pytest.fixture
def refused(study, ald_here):
    """Exit status 2, one sentence, the same from `ald check`, nothing started."""

    def refused(*words):
        run, check = (ald_here(study, command) for command in ("run", "check"))
        assert (run.status, run.out) == (2, "")
        assert all(word in run.sentence for word in words), run.sentence
        assert check == run
        assert not list(study.path.glob("ALC-*"))

    return refused


def test_a_missing_structure(study, refused):
    (study.path / "inputs" / "crystal.extxyz").rename(study.path / "inputs" / "gone")
    study.write(
        ('[[case]]\nname = "warm"\ntemperature = 900\nstructure = "inputs/crystal.extxyz"\n', "")
    )
    refused("ald.toml, line 20: case[0].structure: there is no file", "crystal.extxyz")


@pytest.mark.parametrize("content", ["", "garbage", "1\n\nAr 0 0 nan\n"])
def test_a_structure_that_is_none(study, refused, content):
    (study.path / "inputs" / "other.xyz").write_text(content)
    study.write(
        ('temperature = 900\nstructure = "inputs/crystal.extxyz"',
         'temperature = 900\nstructure = "inputs/other.xyz"')
    )  # fmt: skip
    refused("case[1]: structure: ", "other.xyz: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as a trajectory (Empty file"),
        ("garbage", "cannot be read as a trajectory"),
        ("1\n\nAr 0 0 0\n1\n\nAr 0 nan 0\n", "frame 2 has a position or cell that is not finite"),
        ("1\n\nKr 0 0 0\n", "frame 1 holds Kr, which is not among the study's elements (Ar)"),
    ],
)
def test_bad_starting_frames(study, refused, content, words):
    (study.path / "inputs" / "liquid.extxyz").write_text(content)
    refused("inputs/liquid.extxyz: ", words)


def test_changed_options_are_refused_before_anything_happens(undisturbed, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(undisturbed.path, copy)
    changed = type(undisturbed)(copy)
    changed.write(
        ("steps = 30", "steps = 31"), ("seed = 3", "seed = 4"), ("cores = 2", "cores = 1")
    )
    before = changed.results()
    outcome = changed.ald("run", "--copied", "--accept-changes")
    assert outcome.status == 2
    assert (
        "md, study changed since work was done with it (md.steps: 30 → 31; study.seed: 3 → 4), and the training set "
        "was made with it; undo the change"
    ) in outcome.sentence
    assert changed.results() == before
    with (copy / "inputs" / "crystal.extxyz").open("a") as stream:
        stream.write("\n")
    changed.write()
    assert "case changed" in changed.ald("run").sentence


def test_the_command_is_also_a_program(undisturbed):
    ald = Path(sys.executable).with_name("ald")
    found = subprocess.run([ald, "--version"], check=True, capture_output=True, text=True)
    assert found.stdout.startswith("ald 0.")
    listed = subprocess.run([ald, "plugins"], check=True, capture_output=True, text=True)
    assert "reference" in listed.stdout
