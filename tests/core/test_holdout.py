"""Frames to judge by: whole blocks of time, independent of everything but seed and trajectory."""

import numpy as np
import pytest
from ase import Atoms

from ald_core.holdout import held_out
from ald_core.types import Frame, Origin

ARGON = Atoms("Ar")


def frames(n, source="cold", cycle=1, stride=10):
    return [Frame(ARGON, Origin(cycle, source, stride * (i + 1))) for i in range(n)]


def positions(group, chosen):
    return [i for i, f in enumerate(group) if f.id in chosen]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [10, 20, 23, 100])
def test_a_block_is_contiguous_and_of_the_right_size(n, seed):
    group = frames(n)
    found = positions(group, held_out(group, 0.2, seed))
    assert found == list(range(found[0], found[-1] + 1))
    assert abs(len(found) - n / 5) < 1


def test_every_block_is_chosen_by_some_seed():
    group = frames(20)
    starts = {positions(group, held_out(group, 0.2, seed))[0] for seed in range(60)}
    assert starts == {0, 4, 8, 12, 16}


def test_the_order_of_frames_does_not_matter():
    group = frames(30) + frames(17, "warm")
    shuffled = [group[i] for i in np.random.default_rng(3).permutation(len(group))]
    assert held_out(shuffled, 0.2, 5) == held_out(group, 0.2, 5)


def test_other_trajectories_do_not_matter():
    one, other, later = frames(30), frames(17, "warm"), frames(30, cycle=2)
    alone = held_out(one, 0.2, 5)
    together = held_out(one + other + later, 0.2, 5)
    assert alone == {i for i in together if i in {f.id for f in one}}


def test_trajectories_are_not_all_cut_at_the_same_place():
    starts = set()
    for cycle in range(1, 9):
        group = frames(20, cycle=cycle)
        starts.add(positions(group, held_out(group, 0.2, 5))[0])
    assert len(starts) > 2


@pytest.mark.parametrize(("fraction", "expected"), [(0.5, 10), (0.25, 5), (0.1, 2), (0.05, 1)])
def test_the_fraction_is_kept(fraction, expected):
    assert len(held_out(frames(20), fraction, 1)) == expected


def test_never_everything_of_a_trajectory_however_large_the_fraction():
    assert len(held_out(frames(20), 0.99, 1)) == 10


def test_nothing_is_held_out_without_a_fraction_or_frames():
    assert held_out(frames(20), 0.0, 1) == frozenset()
    assert held_out([], 0.2, 1) == frozenset()


def test_steps_decide_about_time_not_their_digits():
    """Step 1000 comes after step 990."""
    group = frames(200)
    found = positions(group, held_out(group, 0.2, 1))
    assert found == list(range(found[0], found[0] + 40))
