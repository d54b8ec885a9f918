"""The program that runs in the job: one Gaussian after the other, one for each multiplicity.

What it needs is in `job.json`; what it leaves are `NAME.log` for each calculation, and `ends.json`, which says how each
of them ended. A calculation that fails is an answer, too: the exit status is 0.

If a scratch folder is named, finished outputs are kept there until all calculations of the molecule have come to an end
of their own: when time was too short for some of them, the next attempt calculates those only.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType
from typing import Any, NoReturn

from ase.units import Bohr, Hartree

from ald_gaussian.outputs import why_failed

REQUEST = "job.json"
ENDS = "ends.json"
KEPT = "ald-gaussian-kept"
NO_PROGRAM = 127
MISTAKES = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS)
GRACE = 10.0
"""Seconds between a request to stop and the end"""


def main() -> int:
    """Run in the current folder; the exit status."""
    request = json.loads(Path(REQUEST).read_text())
    if request["calculations"] and shutil.which(request["program"]) is None:
        sys.stderr.write(f"there is no program {request['program']!r}\n")
        return NO_PROGRAM
    signal.signal(signal.SIGTERM, _stop)
    answer: dict[str, Any] = {"units": {"hartree_eV": Hartree, "bohr_angstrom": Bohr}}
    try:
        with _scratch(request["scratch"]) as scratch:
            answer["calculations"] = _calculate_all(request, scratch)
    except OSError as error:
        what = f"{error.strerror}: {error.filename}; correct the option scratch, or the machine"
        kind = "input" if error.errno in MISTAKES else "infrastructure"
        answer |= {"failure": what, "kind": kind}
    Path(ENDS + ".new").write_text(json.dumps(answer, indent=1) + "\n")
    os.replace(ENDS + ".new", ENDS)  # noqa: PTH105
    return 0


def _calculate_all(request: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """How each calculation ended."""
    ends: dict[str, Any] = {}
    kept = {name: _kept(request, name) for name in request["calculations"] if request["scratch"]}
    for name in request["calculations"]:
        log = Path(f"{name}.log")
        again = name in kept and _take(kept[name], log)
        ends[name] = {"end": "kept"} if again else _calculate(request, name, scratch)
        failure = why_failed(log)
        ends[name]["failure"] = None if failure is None else failure.reason
        if name in kept and (failure is None or failure.kind == "numerical"):
            _keep(log, kept[name])
    if all(end["end"] != "time" for end in ends.values()):
        for path in kept.values():
            path.unlink(missing_ok=True)
    return ends


def _calculate(request: dict[str, Any], name: str, scratch: Path) -> dict[str, Any]:
    """Run one Gaussian; how it ended: `exit` and a status, `signal` and a number, or `time`."""
    processors = request["processors"] or os.environ.get("OMP_NUM_THREADS") or "1"
    head = f"%nprocshared={processors}\n%chk={scratch / name}.chk\n"
    text = head + Path(f"{name}.com").read_text()
    begin = time.monotonic()
    with Path(f"{name}.log").open("wb") as log:
        running = subprocess.Popen(
            [request["program"]],
            stdin=subprocess.PIPE,
            stdout=log,
            env=os.environ | {"GAUSS_SCRDIR": str(scratch)},
            start_new_session=True,
        )
        try:
            running.communicate(text.encode(), timeout=request["time_limit"])
            status = running.returncode
            killed = -status if status < 0 else status - 128  # by itself, or as a shell tells it
            end = f"signal {killed}" if killed > 0 else f"exit {status}"
        except subprocess.TimeoutExpired:
            end = "time"
        finally:
            _end(running)
    return {"end": end, "seconds": round(time.monotonic() - begin, 2)}


def _end(running: subprocess.Popen[bytes]) -> None:
    """Stop a program, if it still runs, and all that it has started."""
    if running.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(running.pid, number)
            running.wait(GRACE)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    running.wait()


@contextmanager
def _scratch(name: str | None) -> Iterator[Path]:
    """A new folder for Gaussian's own files: in the scratch folder of the options, of the machine, or here."""
    base = Path(os.path.expandvars(name or os.environ.get("GAUSS_SCRDIR") or "."))
    if "$" in str(base):
        raise FileNotFoundError(errno.ENOENT, "a variable is not set", str(base))
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="ald-gaussian-", dir=base)).absolute()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kept(request: dict[str, Any], name: str) -> Path:
    """Where a finished output of exactly this calculation is kept for the next attempt."""
    lines = Path(f"{name}.com").read_text().split("\n")
    what = [request["program"], *(line for line in lines if not line.startswith("%"))]
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()
    return Path(os.path.expandvars(request["scratch"])) / KEPT / f"{digest}.log"


def _take(place: Path, log: Path) -> bool:
    """Whether an output was kept; if so, it is copied."""
    try:
        shutil.copyfile(place, log)
    except FileNotFoundError:
        return False
    return True


def _keep(log: Path, place: Path) -> None:
    place.parent.mkdir(exist_ok=True)
    new = place.with_name(f"{place.name}.{os.getpid()}.new")
    shutil.copyfile(log, new)
    os.replace(new, place)  # noqa: PTH105


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
