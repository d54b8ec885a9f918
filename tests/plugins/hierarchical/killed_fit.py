"""`ald run --fit-only` in lives that end while frozen models are subtracted: `killed_fit.py STUDY LOG`.

Each dies at the first record of a job, before or after it, at which no earlier one has died, until the fit itself is
submitted; it writes what it died at to LOG.
"""

import os
import sys
from pathlib import Path

import ase.io  # noqa: F401  once, not in every life

from ald_core.cycle import run_study
from ald_core.journal import Journal
from ald_core.registry import Registry
from ald_core.runfile import read_run_file
from ald_core.study import open_study

DIED = 99


def life(study, log, registry):
    deaths = log.read_text().splitlines() if log.exists() else []
    append = Journal.append

    def die(name):
        log.write_text("".join(f"{line}\n" for line in [*deaths, name]))
        os._exit(DIED)

    def mortal(journal, record):
        roles = [r["role"] for r in [*journal.records, record] if r["type"] == "INTENT"]
        subtracting = record["type"] in {"INTENT", "SUBMITTED", "ACCEPTED"} and "fit" not in roles
        # What is begun anew after a death between intent and submission has another number.
        name = f"{record['type']} {str(record.get('job')).rpartition('-')[0]}"
        if subtracting and f"before {name}" not in deaths:
            die(f"before {name}")
        answer = append(journal, record)
        if subtracting and f"after {name}" not in deaths:
            die(f"after {name}")
        return answer

    Journal.append = mortal
    with open_study(read_run_file(study / "ald.toml", registry, cycles=0), registry) as opened:
        run_study(opened, 0, fit_only=True)


def main(study, log):
    registry = Registry()
    while True:
        pid = os.fork()
        if pid == 0:
            life(study, log, registry)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != DIED:
            sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
