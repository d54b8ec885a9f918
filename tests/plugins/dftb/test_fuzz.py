"""Damage at random: inputs give a sentence, outputs give a Failure or the labels that are right."""

import contextlib
import random

import numpy as np
import pytest

from ald_core.errors import InputError
from ald_core.testing import compressed_cell, frame_of, label
from ald_core.types import Failure, Labels
from ald_dftb.hsd import parse
from ald_dftb.labeler import DftbLabeler

N = 300


@pytest.fixture(scope="module")
def labelled(shared_folder, program, tmp_path_factory):
    labeler, frame = DftbLabeler(inputs=shared_folder, program=program), frame_of(compressed_cell())
    folder = tmp_path_factory.mktemp("labelled")
    labels = label(labeler, frame, folder)
    assert isinstance(labels, Labels)
    return labeler, frame, folder, labels


@pytest.mark.parametrize("name", ["results.tag", "detailed.out", "dftb_pin.hsd", "stdout"])
def test_damaged_outputs(name, labelled, damage):
    labeler, frame, folder, labels = labelled
    text = (folder / name).read_text()
    refused = 0
    try:
        for seed in range(N):
            (folder / name).write_text(damage.damaged(text, seed))
            found = labeler.collect(frame, folder)
            if isinstance(found, Failure):
                refused += 1
                continue
            assert found.energy == pytest.approx(labels.energy, abs=3e-7), seed
            assert np.allclose(found.forces, labels.forces, atol=1e-6), seed
    finally:
        (folder / name).write_text(text)
    assert refused > N // 20


def test_damaged_inputs(with_files, damage):
    path = with_files / "6000.dftb_in.hsd"
    text = path.read_text()
    labeler = DftbLabeler(inputs=with_files)
    rng = random.Random(3)
    for seed in range(N):
        path.write_text(damage.damaged(text, seed))
        for problem in labeler.check_temperature(6000.0, ("Al", "O")):
            assert str(path) in problem
            assert "; " in problem
        with_noise = "".join(rng.choice("{}=;#\n\"'[] ab1") for _ in range(60))
        with contextlib.suppress(InputError):
            parse(with_noise)
