"""The selector `even` follows the published rule to the letter."""

import numpy as np
import pytest

from ald_core.errors import FuseBlown
from ald_core.roles import SelectionContext
from ald_core.selection import EvenSelector, even
from ald_core.types import Candidate, Model, Origin, TrainingSet


def candidates(classes, source="cold"):
    def load():
        raise AssertionError("even needs no atoms")

    return [Candidate(Origin(1, source, i), 300.0, c, load) for i, c in enumerate(classes)]


def context(cases=()):
    return SelectionContext(
        1, TrainingSet(), Model("x", None), np.random.default_rng(1), lambda frames: [], cases
    )


def chosen(found, **options):
    return [p.position for p in EvenSelector(**options).select(found, context())]


@pytest.mark.parametrize("n_frames", [1, 2, 19, 20])
def test_no_more_than_wanted_are_all_taken(n_frames):
    assert chosen(candidates([0] * n_frames)) == list(range(n_frames))


@pytest.mark.parametrize(
    ("n_frames", "stride"), [(21, 1), (39, 1), (40, 2), (59, 2), (60, 3), (1000, 50)]
)
def test_more_are_thinned_by_whole_strides_from_the_first(n_frames, stride):
    """Frames 0, s, 2s … 19s with s = ⌊F/20⌋: exactly 20, the tail is never sampled."""
    assert chosen(candidates([0] * n_frames)) == [stride * i for i in range(20)]


def test_the_tail_is_never_sampled():
    assert max(chosen(candidates([0] * 39))) == 19


def test_close_contacts_follow_clear_frames_by_the_same_rule():
    """50 frames, every fifth a close contact: 40 clear (s = 10), 10 close (s = 2)."""
    found = candidates([1 if i % 5 == 4 else 0 for i in range(50)])
    clear = [i for i in range(50) if i % 5 != 4]
    close = [i for i in range(50) if i % 5 == 4]
    assert chosen(found, per_class=4) == clear[::10][:4] + close[::2][:4]


def test_frames_inside_the_inner_cutoff_are_never_taken():
    found = candidates([2, 0, 2, 1, 2, 0, 1])
    assert chosen(found, per_class=2) == [1, 5, 3, 6]


def test_each_case_has_its_own_share():
    found = candidates([0] * 5, "cold") + candidates([0, 1] * 4, "warm")
    picks = EvenSelector(per_class=2).select(found, context(("cold", "warm")))
    assert [p.position for p in picks] == [0, 2, 5, 9, 6, 10]
    assert picks[0].reason == "clear, evenly spaced"
    assert picks[-1].reason == "close contact, evenly spaced"
    assert {p.kind for p in picks} == {"bulk"}


def test_interleaved_cases_are_told_apart():
    pairs = zip(candidates([0] * 3, "a"), candidates([0] * 3, "b"), strict=True)
    found = [c for pair in pairs for c in pair]
    assert chosen(found, per_class=1) == [0, 1]


@pytest.mark.parametrize("classes", [[2, 2], [1, 1, 2]])
def test_a_case_without_a_clear_frame_stops_the_run(classes):
    found = candidates([0] * 3, "good") + candidates(classes, "bad")
    with pytest.raises(FuseBlown, match=r"case bad has no frame that is clear .* time step"):
        EvenSelector().select(found, context(("good", "bad")))


def test_a_case_without_any_frame_stops_the_run_too():
    with pytest.raises(FuseBlown, match="case bad has no frame"):
        EvenSelector().select(candidates([0] * 3, "good"), context(("good", "bad")))


def test_such_a_case_can_be_skipped():
    found = candidates([1] * 3, "bad") + candidates([0] * 3, "good")
    picks = EvenSelector(per_class=1, when_none="skip").select(
        found, context(("bad", "good", "no"))
    )
    assert [p.position for p in picks] == [0, 3]


def test_no_candidates_no_picks():
    assert EvenSelector().select([], context()) == []
    assert even([], 3) == []
