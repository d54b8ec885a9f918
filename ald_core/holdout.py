"""Which frames are never fitted: whole blocks of time, chosen by seed."""

from collections.abc import Iterable
from itertools import groupby

from ald_core.digests import digest
from ald_core.types import Frame


def held_out(frames: Iterable[Frame], fraction: float, seed: int) -> frozenset[str]:
    """Ids of the frames to hold out, about `fraction` of each trajectory.

    Each trajectory (cycle and source) is cut into round(1/fraction) runs of consecutive frames of equal length, and
    one run is held out, so that a held-out frame has fitted neighbours in time at the ends of its run only. The choice
    depends on the seed and the trajectory's name alone: neither on other trajectories nor on the order of labels.
    """
    if fraction <= 0:
        return frozenset()
    n_blocks = max(2, round(1 / fraction))
    chosen = set()
    ordered = sorted(frames, key=lambda f: f.id)
    for key, group in groupby(ordered, key=lambda f: (f.origin.cycle, f.origin.source)):
        members = list(group)
        block = int(digest("held-out", seed, *key)[:12], 16) % n_blocks
        chosen |= {f.id for i, f in enumerate(members) if i * n_blocks // len(members) == block}
    return frozenset(chosen)
