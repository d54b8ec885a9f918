"""Labels of a cycle put together: which of them are set aside, and whether so many that a person has to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from ald_core.errors import FuseBlown
from ald_core.events import Note
from ald_core.outliers import find_outliers
from ald_core.store import Quarantine
from ald_core.study import Study
from ald_core.types import LabeledFrame, Task
from ald_core.verdicts import REJECTED


def compare(
    study: Study,
    number: int,
    known: Sequence[LabeledFrame],
    made: Sequence[LabeledFrame],
    given: Sequence[LabeledFrame] = (),
) -> tuple[list[LabeledFrame], Quarantine]:
    """Labels of a cycle, of which outliers and rejected ones are set aside, and the outliers of which nothing is said.

    What the user has `given` is never set aside for that, but told. Once training set `number` is on record, it says
    what has become of each label.
    """
    committed = study.finished_training(number)
    if committed is not None:
        new = {labeled.frame.id for labeled in made}
        return [labeled for labeled in committed.frames if labeled.frame.id in new], ()
    quality = study.runfile.quality
    judged = [*given, *made]
    odd = find_outliers(known, judged, quality.outliers, quality.outliers_from)
    if study.flag(number, odd):
        _tell(study, odd)
    said = study.verdicts()
    asides = {i: why for i, why in odd.items() if i not in said}
    asides |= {i: REJECTED for i, verdict in said.items() if verdict == "rejected"}
    accepted = [attrs.evolve(f, set_aside=asides.get(f.frame.id, "")) for f in made]
    open_ones = tuple(
        (f.frame.id, odd[f.frame.id]) for f in accepted if f.set_aside in odd.values()
    )
    return accepted, open_ones


def _tell(study: Study, odd: Mapping[str, str]) -> None:
    for frame_id, reason in list(odd.items())[:1]:
        more = f" and {len(odd) - 1} more" * (len(odd) > 1)
        text = f"{frame_id}: {reason}{more}; `ald labels` shows outliers, and takes or rejects them"
        study.listener(Note(text, "warning"))


def check_share(
    study: Study,
    cycle: int,
    tasks: Sequence[Task[Any]],
    failed: Quarantine,
    outliers: Quarantine,
) -> None:
    """Stop if too many labels failed; the next `ald run`, before which something was put right, tries them again."""
    limit = study.runfile.quality.max_quarantined
    quarantined = (*failed, *outliers)
    if len(quarantined) > limit * len(tasks):
        study.jobs.release(tasks)
        frame_id, reason = quarantined[0]
        again = "the next `ald run` tries them again"
        told = "say which are right with `ald labels --release` or --reject, or change quality.outliers"
        cures = "; ".join([again] * bool(failed) + [told] * bool(outliers))
        what = "failed" if not outliers else "failed or are outliers" if failed else "are outliers"
        raise FuseBlown(
            f"cycle {cycle}: {len(quarantined)} of {len(tasks)} labels {what}, more than quality.max_quarantined = "
            f"{limit:g} allows; the first: {frame_id}: {reason}; {cures}"
        )
