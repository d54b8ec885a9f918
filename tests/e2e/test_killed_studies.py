"""A run that dies at any commit of a cycle: the next one goes on, and the bytes are those of a quiet run."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from ald_core.journal import read_journal

SCRIPT = Path(__file__).with_name("killed_study.py")
VIEWS = 9
"""GEN_FF and two cases in two cycles; labels of the starting set and of two cases."""


def commits(study):
    """Records of the cycle, without those of jobs, and how many jobs of each role there were that began.

    What waits for cores dies with the run: it never began, and is submitted again under another name.
    """
    kinds = ("STUDY", "PLAN", "TRAINING", "CYCLE_DONE", "FINAL")
    entries = read_journal(study.path)
    void = {e["job"] for e in entries if e["type"] == "VOID"}
    begun = [e for e in entries if e["type"] == "INTENT" and e["job"] not in void]
    roles = Counter(e["role"] for e in begun)
    return [
        (e["type"], e.get("cycle"), e.get("digest")) for e in entries if e["type"] in kinds
    ], roles


def test_dying_before_and_after_every_commit(tmp_path, new_study):
    studies = {manner: new_study(tmp_path / manner) for manner in ("before", "after")}
    quiet = new_study(tmp_path / "quiet")
    lives = {
        manner: subprocess.Popen(
            [sys.executable, SCRIPT, study.path, manner, tmp_path / f"{manner}.log"],
            env=study.environment,
        )
        for manner, study in studies.items()
    }
    quiet.run("--cycles", "1")
    assert [process.wait(300) for process in lives.values()] == [0, 0]
    for manner, study in studies.items():
        deaths = Counter(
            line.split()[0] for line in (tmp_path / f"{manner}.log").read_text().splitlines()
        )
        assert (deaths["STUDY"], deaths["PLAN"], deaths["TRAINING"]) == (1, 1, 2)
        assert (deaths["CYCLE_DONE"], deaths["FINAL"]) == (1, 1)
        assert (
            deaths["discard"] == 2 * VIEWS
        )  # of nothing, and of what an earlier life has published
        assert deaths["publish"] >= VIEWS + 3  # two training sets, and the one that users read
        assert study.results() == quiet.results()
        assert commits(study) == commits(quiet)  # nothing was done twice
        assert study.litter() == []
