"""Going on with a study: what may change and when, what is remembered, what a final fit means."""

import shutil
import signal
import time

from ald_core.inspection import read_status
from ald_core.journal import read_journal

ONE_CYCLE = ("cycles = 2", "cycles = 1")


def test_options_may_be_put_right_until_work_depends_on_them(study):
    """A first run that fails for a wrong option leaves a study that runs once it is corrected."""
    study.write(
        ONE_CYCLE,
        ('use = "reference"\nsteps = 30', 'use = "reference"\nsteps = 3\ninner_cutoff = 9.0'),
    )
    assert study.ald("run").status != 0  # every step of the MD is inside the inner cutoff
    study.write(ONE_CYCLE)
    study.run()


def test_a_case_cannot_join_after_a_cycle_was_finished_with_others(study):
    without = (
        '[[case]]\nname = "warm"\ntemperature = 900\nstructure = "inputs/crystal.extxyz"\n',
        "",
    )
    study.write(ONE_CYCLE, without)
    study.run()
    study.write(ONE_CYCLE)
    assert "case changed" in study.ald("run").sentence


def test_md_and_cases_may_be_added_to_what_was_only_fitted(study, undisturbed):
    study.run("--fit-only")
    study.run()
    assert study.results() == undisturbed.results()


def test_a_final_fit_without_md_does_not_replace_the_one_with_it(study, undisturbed):
    """The run is stopped before its final record, then only fitted; a full run still makes the final MD."""
    study.run("--cycles", "1")
    study.run("--fit-only")
    study.run()
    assert study.results() == undisturbed.results()
    final = [e for e in read_journal(study.path) if e["type"] == "FINAL"][-1]
    assert len(final["record"]["md"]) == 2


def test_an_extension_that_was_interrupted_is_remembered(study, tmp_path, undisturbed):
    shutil.rmtree(study.path)
    shutil.copytree(undisturbed.path, study.path)
    process = study.start("run", "--cycles", "3", "--copied")
    end = time.monotonic() + 60
    while not list(study.path.glob("ALC-3/jobs/*-label-*")) and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert "finished" not in read_status(study.path / "ald.toml").lines
    study.run()
    assert (study.path / "ALC-4" / "GEN_FF" / "params.json").is_file()


def test_a_model_that_was_deleted_is_passed_over_with_a_word(study, tmp_path, undisturbed):
    shutil.rmtree(study.path)
    shutil.copytree(undisturbed.path, study.path)
    shutil.rmtree(study.path / "ALC-1" / "GEN_FF")
    outcome = study.run("--cycles", "3", "--copied")
    assert "ALC-1/GEN_FF/params.json is gone" in outcome.out


def test_a_large_file_of_a_job_is_shown_as_a_link_that_nobody_may_write_to(tmp_path):
    from ald_core.store import LINKED, show_file

    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    large.write_bytes(b"x" * (LINKED + 1))
    show_file(small, tmp_path / "a")
    show_file(large, tmp_path / "b")
    assert (tmp_path / "a").stat().st_ino != small.stat().st_ino
    assert (tmp_path / "b").stat().st_ino == large.stat().st_ino
    assert (tmp_path / "b").stat().st_mode & 0o222 == 0
