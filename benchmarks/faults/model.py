"""The model check at length: `python benchmarks/faults/model.py [DEPTH] [SEEDS] [PART] [PARTS]`.

All histories with at most DEPTH faults (of the first faults only each PARTS-th, from PART on), with one `ald run` at a
time and with two at once; then as many histories with faults at random as there are SEEDS. The first one that breaks a
promise is told with its faults. Then a journal is cut at every byte, and spoilt by 5,000 flipped bits. At the end the
schemes that lack a safeguard must be found broken.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from protocol import SCHEMES, Explored, explore, flipped, survive_damage, wander

FLIPS = 5000


def main(depth: int = 2, seeds: int = 2000, part: int = 0, parts: int = 1) -> None:
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        for two in (False, True):
            what = "two at once" if two else "one at a time"
            explored, begun = Explored(), time.process_time()
            explore(folder, depth, explored, part=(part, parts), concurrent_runs=two)
            print(f"{what}: {explored}, {time.process_time() - begun:.0f} s", flush=True)
        explored, begun = Explored(), time.process_time()
        wander(folder, range(part * seeds, (part + 1) * seeds), explored)
        print(f"at random: {explored}, {time.process_time() - begun:.0f} s", flush=True)
        begun, lengths = time.process_time(), [1]
        told: Counter[str] = Counter()

        def cut(whole: bytes) -> bytes:
            lengths[0] = len(whole)
            return whole[:number]

        number = 0
        while number < lengths[0]:
            told[survive_damage(folder, cut)] += 1
            number += 1
        print(f"cut at every byte: {dict(told)}", flush=True)
        dice = random.Random(part)
        told = Counter(survive_damage(folder, lambda w: flipped(w, dice)) for _ in range(FLIPS))
        print(f"flipped bits: {dict(told)}, {time.process_time() - begun:.0f} s", flush=True)
        for scheme in filter(None, SCHEMES):
            explored = Explored()
            try:
                explore(folder, 1, explored, scheme)
                wander(folder, range(500), explored, scheme)
            except (AssertionError, KeyError) as error:
                print(f"{scheme}: broken after {explored.histories} histories: {str(error)[:60]}")
            else:
                sys.exit(f"{scheme}: not found broken")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
