"""Why a run of VASP gave no labels, and whether another try can help."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ald_core.types import Failure, FailureKind
from ald_vasp.outcar import Outcar

SICK = "I REFUSE TO CONTINUE WITH THIS SICK JOB"
STOPPED = "hard stop encountered"
"""By a STOPCAR with LABORT"""

CAUSES: Mapping[FailureKind, re.Pattern[str]] = {
    "memory": re.compile(
        r"insufficient virtual memory|[Cc]annot allocate memory|[Oo]ut[ -]of[ -]memory|oom[-_ ]kill"
    ),
    "invalid": re.compile(r"POTRF fail|triple product of the basis vectors"),
    "input": re.compile(
        r"Error reading item|number of potentials on File POTCAR incompatible|Tetrahedron method fails"
        r"|Number of bands is not sufficient|inverse of rotation matrix was not found|POSMAP internal error"
        r"|internal error in (?:subroutine )?(?:IBZKPT|INVGRP|PRICEL|RHOSYG|SGRCON)|No INCAR found"
    ),
    "numerical": re.compile(
        r"(?i:error) (?:in )?ED[A-Z]+|[Cc]all to (?:ZH|DSY|PSSY|PZ)[A-Z]+|BRMIX: very serious problems"
        r"|ERROR FEXC[FP]|ZTRTRI fail"
    ),
}
"""What fatal messages mean; the first that fits. Overlapping atoms (ZPOTRF) stay what they are, whatever the
algorithm."""
PROSE = re.compile(r"[a-z]{3}")
MAX_WORDS = 240


def failure_of_run(outcar: Outcar | None, text: str, said: str) -> Failure | None:
    """Why there is no result to look at; None if VASP came to a converged end of one single point.

    Args:
        outcar: what OUTCAR says; None if it is not there, or empty.
        text: OUTCAR itself.
        said: standard output and standard error.
    """
    if SICK in text or (SICK in said and (outcar is None or not outcar.complete)):
        return _sick(text if SICK in text else said)
    if outcar is None or outcar.version is None:
        return _unfinished(said, "there is no OUTCAR" if outcar is None else "no OUTCAR of VASP")
    unconverged = _not_converged(outcar, text)
    if unconverged is not None:
        return unconverged
    if not outcar.complete:
        return _unfinished(said + text[-20_000:], "VASP did not come to its end")
    if len(outcar.steps) != 1:
        return Failure(
            f"{len(outcar.steps)} ionic steps were made instead of one; set NSW = 0", "input"
        )
    return None


def _not_converged(outcar: Outcar, text: str) -> Failure | None:
    """VASP 5 says that EDIFF is reached even if it is not, so steps are counted for every version."""
    if outcar.steps and outcar.nelm is None:
        return Failure("OUTCAR does not tell NELM, so that convergence cannot be judged")
    for i, steps in enumerate(outcar.steps, start=1):
        if outcar.nelm is not None and steps >= outcar.nelm:
            where = f" in ionic step {i}" if len(outcar.steps) > 1 else ""
            reason = f"not converged: {steps} electronic steps of NELM = {outcar.nelm}{where}"
            return Failure(reason, "numerical")
    if outcar.not_reached:
        return Failure("not converged: EDIFF was not reached", "numerical")
    if STOPPED in text:
        return Failure("stopped by a STOPCAR", "invalid")
    if outcar.complete and outcar.reached != len(outcar.steps):
        return Failure("OUTCAR does not say that EDIFF is reached", "numerical")
    return None


def _unfinished(said: str, reason: str) -> Failure:
    for line in reversed(said.splitlines()):
        for kind, pattern in CAUSES.items():
            found = pattern.search(line)
            if found:
                return Failure(f"{reason}: {_short(line)}", kind)
    return Failure(reason)


def _sick(text: str) -> Failure:
    """VASP gave up; what it says is in a box of lines between bars, below a banner."""
    before = text[: text.index(SICK)].splitlines()[:-1]
    box: list[str] = []
    for line in reversed(before):
        if re.fullmatch(r"\s*-{20,}\s*", line) or len(box) > 40:
            break
        box.append(line.strip().strip("|").strip())
    words = _short(" ".join(line for line in reversed(box) if PROSE.search(line)))
    reason = f"VASP refused to go on: {words}" if words else "VASP refused to go on"
    for kind, pattern in CAUSES.items():
        if pattern.search(words):
            return Failure(reason, kind)
    return Failure(reason)


def _short(text: str) -> str:
    words = " ".join(text.strip(" |\t").split())
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"
