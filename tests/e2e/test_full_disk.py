"""A study whose disk gets full while it runs: it stops with a sentence, and goes on when there is room again."""

import time

from small_disk import SmallDisk

from ald_core.journal import read_journal

MEGABYTES = 40
"""More than what has to stay free"""


def stopped_by_the_disk(process):
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "Traceback" not in err
    assert "run again" in err


def test_a_disk_that_gets_full_and_is_cleared(new_study, undisturbed):
    """Jobs under way have no room for their results either, which is not the fault of their frames."""
    with SmallDisk(MEGABYTES) as disk:
        study = new_study(disk.path / "study")
        if not disk.mounted:  # the limit counts for what is started
            disk.leave(3)
        process = study.start("run")
        begun = "ALC-1/jobs/*label*/claim"
        while disk.mounted and process.poll() is None and not list(study.path.glob(begun)):
            time.sleep(0.01)
        disk.leave(1)
        stopped_by_the_disk(process)
        stopped_by_the_disk(study.start("run"))
        disk.clear()
        study.run()
        assert study.results() == undisturbed.results()
        assert not [r for r in read_journal(study.path) if r["type"] == "QUARANTINED"]
        litter = [p for p in study.litter() if p.name.endswith((".ald-new", ".ald-old"))]
        assert litter == []
