"""Runs `ald` in forked processes, which need not import everything again: `python benchmarks/faults/nursery.py`.

Each line of the input is a folder, a file for what the command prints, and its arguments, between tabs; the answers are
the process id, and, when it has ended, its status.
"""

import os
import sys
import traceback
from pathlib import Path

import ase.io  # noqa: F401  once, not in every life

from ald_core import cli, cycle, registry, study  # noqa: F401


def life(folder: str, log: str, arguments: list[str]) -> int:
    """`ald` in its own session, as a command would do it."""
    os.setsid()
    os.chdir(folder)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (stream, 1), (stream, 2)):
        os.dup2(source, target)
    sys.argv = ["ald", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    for line in sys.stdin:
        folder, log, *arguments = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            status = life(folder, log, arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    main()
