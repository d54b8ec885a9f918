"""Starting frames: read with their labels, or refused in one sentence that names file, frame and cure."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from ald_core.errors import InputError
from ald_core.frames import FrameFile, read_frames


def atoms(x=0.0, **labels):
    found = Atoms("Ar2", [[x, 0, 0], [1.1, 0, 0]], cell=[5, 6, 7], pbc=True)
    if labels:
        found.calc = SinglePointCalculator(found, **labels)
    return found


def write(path, *images):
    ase.io.write(path, list(images))
    return FrameFile(file=path)


def read(*files, elements=("Ar", "C", "S", "Si")):
    return read_frames(files, elements)


def test_frames_are_named_after_file_and_place(tmp_path):
    file = write(tmp_path / "liquid.xyz", atoms(0.1), atoms(0.2))
    found = read(file)
    assert [f.id for f, _ in found] == ["000-liquid-000000001", "000-liquid-000000002"]
    assert [f.atoms.positions[0, 0] for f, _ in found] == [0.1, 0.2]
    assert found[0][0].temperature is None
    assert found[0][0].kind == "bulk"
    assert [labels for _, labels in found] == [None, None]


def test_labels_of_the_file_are_taken(tmp_path):
    forces = np.array([[0.1, -0.2, 0.3], [-0.1, 0.2, -0.3]])
    stress = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) * 1e-3
    file = write(tmp_path / "a.extxyz", atoms(energy=-1.5, forces=forces, stress=stress))
    ((frame, labels),) = read(file)
    assert labels.energy == -1.5
    assert np.allclose(labels.forces, forces)
    assert np.allclose(labels.stress, stress)
    assert frame.atoms.calc is None  # a frame has no labels of its own


def test_reference_columns_win_over_a_calculator(tmp_path):
    image = atoms(energy=-1.5, forces=np.zeros((2, 3)))
    image.info["ref_energy"] = -2.5
    image.arrays["ref_forces"] = np.ones((2, 3))
    ((_, labels),) = read(write(tmp_path / "a.extxyz", image))
    assert labels.energy == -2.5
    assert (labels.forces == 1).all()


def test_energies_or_forces_alone_are_labels_but_a_stress_alone_is_none(tmp_path):
    ((_, only_energy),) = read(write(tmp_path / "a.extxyz", atoms(energy=-1.5)))
    assert only_energy.forces is None
    ((_, only_stress),) = read(write(tmp_path / "b.extxyz", atoms(stress=np.ones(6))))
    assert only_stress is None


def test_labels_can_be_made_anew(tmp_path):
    path = tmp_path / "a.extxyz"
    write(path, atoms(energy=-1.5, forces=np.zeros((2, 3))))
    ((_, labels),) = read(FrameFile(file=path, relabel=True))
    assert labels is None


def test_temperature_of_the_run_file_or_of_the_frame(tmp_path):
    image = atoms()
    image.info["temperature"] = 300
    file = write(tmp_path / "a.extxyz", image)
    ((frame, _),) = read(file)
    assert frame.temperature == 300.0
    assert type(frame.temperature) is float  # its repr enters the digest
    ((frame, _),) = read(FrameFile(file=file.file, temperature=50.0))
    assert frame.temperature == 50.0


@pytest.mark.parametrize("value", ["warm", -5.0, float("nan"), float("inf")])
def test_a_temperature_must_be_one(tmp_path, value):
    image = atoms()
    image.info["temperature"] = value
    with pytest.raises(InputError, match=r"a\.extxyz: frame 1 has the temperature .* K ≥ 0"):
        read(write(tmp_path / "a.extxyz", image))


def test_gas_frames_are_marked(tmp_path):
    path = tmp_path / "a.xyz"
    write(path, atoms())
    ((frame, _),) = read(FrameFile(file=path, kind="gas"))
    assert frame.kind == "gas"


def test_a_training_set_of_another_study_keeps_its_trajectories_apart(tmp_path):
    images = [atoms(0.1 * i) for i in range(4)]
    for image, source in zip(images, ["cold", "warm", "cold", "../warm"], strict=True):
        image.info["source"] = source
    found = read(write(tmp_path / "training_set.extxyz", *images))
    assert [f.id for f, _ in found] == [
        "000-cold-000000001",
        "000-warm-000000001",
        "000-cold-000000002",
        "000-_warm-000000001",  # a source becomes part of file names
    ]


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    one, two = (write(tmp_path / f / "liquid.xyz", atoms()) for f in "ab")
    with pytest.raises(InputError, match="two files give a frame 000-liquid-000000001; rename"):
        read(one, two)


# ---------------------------------------------------------------- what is wrong with a file


def refused(file):
    with pytest.raises(InputError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file.file}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.traj", "a.vasp", "a.nobody_knows"])
@pytest.mark.parametrize("content", ["", "\n\n", "garbage", "3\n\nAr 0 0 0\n", "-1\n\n", "1\n\nAr 0 0\n"])  # fmt: skip
def test_files_that_are_no_trajectories(tmp_path, name, content):
    (path := tmp_path / name).write_text(content)
    text = refused(FrameFile(file=path))
    assert any(words in text for words in ("holds no frames", "cannot be read", "has no atoms"))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_positions_that_are_no_numbers(tmp_path, number):
    (path := tmp_path / "a.xyz").write_text(f"1\n\nAr 0 0 0\n1\n\nAr 0 {number} 0\n")
    assert "frame 2 has a position or cell that is not finite" in refused(FrameFile(file=path))


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_labels_that_are_no_numbers(tmp_path, name):
    labels = {"energy": -1.0, "forces": np.zeros((2, 3)), "stress": np.zeros(6)}
    labels[name] = labels[name] * np.nan
    words = (
        f"frame 1 has a {name.removesuffix('s') if name == 'forces' else name} that is not finite"
    )
    assert words in refused(write(tmp_path / "a.extxyz", atoms(**labels)))


CELL = 'Lattice="5 0 0 0 6 0 0 0 7"'


def extxyz(tmp_path, header=CELL, columns="", words=""):
    """Two atoms; `columns` and `words` are a further column's declaration and content."""
    lines = ["2", f"{header} Properties=species:S:1:pos:R:3{columns}"]
    (path := tmp_path / "a.extxyz").write_text(
        "\n".join([*lines, f"Ar 0 0 0 {words}", f"Ar 0 0 2 {words}", ""])
    )
    return FrameFile(file=path)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("ref_energy=abc", "the energy abc; give one number (eV), remove this label, or set"),
        ('ref_energy="1 2 3"', "the energy [1, 2, 3]; give one number"),
        ("ref_energy=T", "the energy True; give one number"),
        ("energy=abc", "the energy abc; give one number"),
        ('ref_stress="1 2 3"', "the stress [1, 2, 3]; give six numbers"),
        ("ref_stress=abc", "the stress abc; give six numbers"),
        ("temperature=T", "the temperature True; it must be a number"),
        ('temperature="300 400"', "the temperature [300, 400]; it must be a number"),
    ],
)
def test_labels_of_the_wrong_type_or_shape(tmp_path, label, words):
    assert f"frame 1 has {words}" in refused(extxyz(tmp_path, f"{CELL} {label}"))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (":ref_forces:S:3", "a b c"),
        (":ref_forces:R:2", "1.5 2.5"),
        (":ref_forces:R:1", "1.5"),
        (":ref_forces:L:3", "T F T"),
        (":forces:R:2", "1.5 2.5"),
    ],
)
def test_forces_of_the_wrong_type_or_shape(tmp_path, columns, words):
    text = refused(extxyz(tmp_path, CELL, columns, words))
    assert "frame 1 has the forces [" in text
    assert "give 2 × 3 numbers (eV/Å), remove this label, or set relabel = true" in text
    path = tmp_path / "a.extxyz"
    ((_, labels),) = read(FrameFile(file=path, relabel=True))
    assert labels is None


@pytest.mark.parametrize(
    "stress", ["1 2 3 4 5 6", "1 6 5 6 2 4 5 4 3", "_JSON [[1, 6, 5], [6, 2, 4], [5, 4, 3]]"]
)
def test_shapes_that_a_stress_may_have(tmp_path, stress):
    file = extxyz(tmp_path, f'{CELL} ref_energy=-1 ref_stress="{stress}"')
    ((_, labels),) = read(file)
    assert labels.stress.tolist() == [1, 2, 3, 4, 5, 6]
    assert labels.energy == -1.0
    assert type(labels.energy) is float


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ('pbc="T T T"', False),
        ('Lattice="5 0 0 5 0 0 0 0 7" pbc="T T T"', False),
        ('Lattice="5 0 0 0 6 0 5 6 1e-7" pbc="T T T"', False),
        ('Lattice="5 0 0 5 0 0 0 0 0" pbc="T T F"', False),
        ('Lattice="5 0 0 0 6 0 0 0 0" pbc="T F T"', False),
        ('Lattice="5 0 0 0 6 0 0 0 0" pbc="T T F"', True),
        ('Lattice="-5 0 0 0 6 0 0 0 7" pbc="T T T"', True),
        ('pbc="F F F"', True),
    ],
)
def test_periodic_directions_need_a_cell(tmp_path, header, good):
    file = extxyz(tmp_path, header)
    if good:
        assert len(read(file)) == 1
    else:
        assert "frame 1 is periodic, but its cell [[" in refused(file)


def test_elements_are_compared_whole(tmp_path):
    """S is no Si, C no Cl."""
    file = write(tmp_path / "a.xyz", Atoms("SiSCl"))
    with pytest.raises(InputError, match=r"frame 1 holds Cl, Si, .*\(S, C\)"):
        read(file, elements=("S", "C"))


def test_a_frame_without_atoms(tmp_path):
    (path := tmp_path / "a.xyz").write_text("0\n\n1\n\nAr 0 0 0\n")
    with pytest.raises(InputError):
        read(FrameFile(file=path))


def test_only_the_first_frames(tmp_path):
    path = write(tmp_path / "a.extxyz", atoms(0.1), atoms(0.2), atoms(0.3)).file
    assert [f.origin.step for f, _ in read(FrameFile(file=path, first=2))] == [1, 2]
    with pytest.raises(InputError, match="4 frames are announced, but it holds 3"):
        read(FrameFile(file=path, first=4))


def test_each_frame_may_have_its_temperature(tmp_path):
    path = write(tmp_path / "a.extxyz", atoms(0.1), atoms(0.2)).file
    temps = tmp_path / "a.temps"
    temps.write_text("300\n\n450.5\n")
    assert [f.temperature for f, _ in read(FrameFile(file=path, temperatures=temps))] == [
        300,
        450.5,
    ]
    for text, message in (
        ("300\n", "holds 1 temperatures, but a.extxyz has more frames"),
        ("300\nx\n", "cannot be read as temperatures"),
        ("300\n-1\n", "no number of K"),
        ("300\nnan\n", "no number of K"),
    ):
        temps.write_text(text)
        with pytest.raises(InputError, match=message):
            read(FrameFile(file=path, temperatures=temps))
