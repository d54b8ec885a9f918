"""One life of `ald run --cycles 1` that ends at a commit: `killed_study.py STUDY before|after LOG [jobs]`.

In a new process for each life, it dies at the first commit at which no earlier life has died, before or after it, and
writes its name to LOG; until a life comes to its end. A commit is a journal record of the study (not of a job), or a
folder or file that users read taking or leaving its place. With `jobs`, it is a record of a job instead, from the
beginning of MD to the training set of the cycle.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io  # noqa: F401  once, not in every life

from ald_core import store
from ald_core.cycle import run_study
from ald_core.journal import Journal
from ald_core.registry import Registry
from ald_core.runfile import read_run_file
from ald_core.study import open_study

RECORDS = {"STUDY", "PLAN", "TRAINING", "CYCLE_DONE", "FINAL"}
JOB_RECORDS = {"INTENT", "SUBMITTED", "ACCEPTED"}
DIED = 99


def is_of_exploring(records: list[Any], record: Any) -> bool:
    """Whether a record of a job is made while MD and labels of the cycle go on."""
    roles = [r["role"] for r in [*records, record] if r["type"] == "INTENT"]
    trained = [r for r in records if r["type"] == "TRAINING" and r["cycle"] == 1]
    return record["type"] in JOB_RECORDS and "md" in roles and not trained


def life(study: Path, manner: str, log: Path, registry: Registry, *, jobs: bool = False) -> None:
    """Run, or go on; does not return if there is a commit to die at."""
    deaths = log.read_text().splitlines() if log.exists() else []

    def die(name: str) -> None:
        log.write_text("".join(f"{line}\n" for line in [*deaths, name]))
        os._exit(DIED)

    def armed(original: Callable[..., Any], name_of: Callable[..., str | None]) -> Any:
        def call(*arguments: Any) -> Any:
            name = name_of(*arguments)
            deadly = name is not None and name not in deaths
            if deadly and manner == "before":
                die(str(name))
            answer = original(*arguments)
            if deadly:
                die(str(name))
            return answer

        return call

    def of_record(journal: Journal, record: Any) -> str | None:
        kind = record["type"]
        if jobs:
            work = str(record.get("job")).rpartition("-")[
                0
            ]  # begun anew after a death between intent and submission
            name = f"{kind} {work} {record.get('task', '')}"
            return name if is_of_exploring(journal.records, record) else None
        return f"{kind} {record.get('cycle', '')}" if kind in RECORDS else None

    def of_target(verb: str, target: Path) -> str:
        # Taking away what an earlier life has published is another case than having nothing to take away.
        return f"{verb} {target.relative_to(study)}{' again' * target.exists()}"

    Journal.append = armed(Journal.append, of_record)  # type: ignore[method-assign]
    if not jobs:
        store.publish_folder = armed(
            store.publish_folder, lambda _, path: of_target("publish", path)
        )
        store.discard = armed(store.discard, lambda path: of_target("discard", path))
        store.publish_file = armed(store.publish_file, lambda path, _: of_target("publish", path))
    with open_study(read_run_file(study / "ald.toml", registry), registry) as opened:
        run_study(opened, 1)


def main(study: Path, manner: str, log: Path, *, jobs: bool) -> None:
    """Lives in forked processes, which need not import everything again."""
    registry = Registry()
    while True:
        pid = os.fork()
        if pid == 0:
            life(study, manner, log, registry, jobs=jobs)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != DIED:
            sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), jobs=sys.argv[4:] == ["jobs"])
