"""Behaviour of runs: conservation, checkpoints, contact classes, instability, bad input."""

import json
import math
from pathlib import Path

import attrs
import numpy as np
import pytest

from ald_chimes_md import loop, preparation
from ald_chimes_md import run as run_module
from ald_chimes_md.checkpoint import CHECKPOINT
from ald_chimes_md.control import parse_control, read_control
from ald_chimes_md.dynamics import (
    CONSERVED,
    DONE,
    NOT_FINITE,
    POTENTIAL,
    TEMPERATURE,
    TOO_FAR_IN_ENERGY,
    TOO_HOT,
)
from ald_chimes_md.files import CONTACT_FILES, CONTACT_INDEX
from ald_chimes_md.integrator_kernels import fault
from ald_chimes_md.keywords import with_values
from ald_chimes_md.outputs import Outputs
from ald_chimes_md.preparation import prepare
from ald_chimes_md.run import main, run
from ald_core.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
CONTROL = (DATA / "special3b" / "run_md.in").read_text()
FILES = {
    "params.txt": (DATA / "special3b" / "params.txt").read_text(),
    "input.xyzf": (DATA / "special3b" / "input.xyzf").read_text(),
    "carbon.txt": (DATA / "carbon-penalty" / "published_params.liqC.2+3b.cubic.txt").read_text(),
}


@pytest.fixture
def go(tmp_path):
    """Run the 64 atoms of the golden case (or other files) with some values changed."""

    def start(files=None, folder="run", *, last_step=None, resume=False, **values):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        for name, text in {**FILES, **(files or {})}.items():
            (place / name).write_text(text)
        text = with_values(CONTROL, values)
        (place / "run_md.in").write_text(text)
        control = parse_control(text, place / "run_md.in")
        return run(control, place, resume=resume, last_step=last_step)

    return start


def outputs(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != CHECKPOINT}


def untimed(result):
    return attrs.evolve(result, seconds_per_step=0.0)


def xyz_frames(path):
    """(n_frames, n_atoms, 3) of a file without a frame cut short."""
    lines = path.read_text().splitlines()
    size = int(lines[0]) + 2 if lines else 1
    assert len(lines) % size == 0
    frames = [lines[i : i + size] for i in range(0, len(lines), size)]
    return np.array([[line.split()[1:4] for line in frame[2:]] for frame in frames], dtype=float)


@pytest.mark.parametrize("ensemble", ["NVE", "NVT-MTK HOOVER 10"])
def test_the_error_of_the_conserved_quantity_is_second_order(go, ensemble):
    deviations = [
        go(TIMESTP=dt, N_MDSTP=int(16 / dt) + 1, CONSRNT=ensemble).conserved.max_deviation
        for dt in (0.4, 0.2, 0.1)
    ]
    assert deviations[-1] < 0.01
    assert deviations[0] / deviations[1] == pytest.approx(4.0, rel=0.25)
    assert deviations[1] / deviations[2] == pytest.approx(4.0, rel=0.25)


def test_momentum_stays_zero_and_nothing_drifts(go, tmp_path):
    go(CONSRNT="NVE", N_MDSTP=300)
    lines = (tmp_path / "run" / "output.xyz").read_text().splitlines()[2:]
    masses = np.array([{"C": 12.011, "O": 15.999}[line.split()[0]] for line in lines])
    velocities = np.array([line.split()[4:7] for line in lines], dtype=float)
    np.testing.assert_allclose(masses @ velocities, 0.0, atol=1e-9)


def test_the_energy_of_nve_does_not_wander_off(go, tmp_path):
    go(CONSRNT="NVE", N_MDSTP=2000, TIMESTP=0.2, PRNTFRC="false")
    energies = np.loadtxt(tmp_path / "run" / "md_statistics.out")[:, 4]
    quarters = energies.reshape(4, -1)
    assert np.ptp(energies) < 0.02  # kcal/mol per atom, at 6 per atom of kinetic energy
    assert np.ptp(quarters[1:].mean(axis=1)) < 0.1 * np.ptp(energies)


def test_the_thermostat_reaches_its_temperature(go):
    result = go(N_MDSTP=3000, TIMESTP=0.4, FRQENER=100, TEMPERA=3000)
    assert result.stable
    assert result.averages.temperature == pytest.approx(3000.0, rel=0.05)


CONTINUED = {"N_MDSTP": 61, "PRNTBAD": "true", "FRQDFTB": 4, "FRQENER": 3, "PRNTVEL": "true 10"}


def test_a_paused_run_continues_bit_for_bit(go, tmp_path):
    whole = go(folder="whole", TIMESTP=0.5, **CONTINUED)
    paused = go(folder="parts", last_step=37, TIMESTP=0.5, **CONTINUED)
    assert (paused.steps_done, paused.stable) == (37, True)
    assert (tmp_path / "parts" / CHECKPOINT).exists()
    # What a killed run had written after its checkpoint is cut off.
    with (tmp_path / "parts" / "md_statistics.out").open("ab") as file:
        file.write(b"      39  1.23")
    parts = go(folder="parts", resume=True, TIMESTP=0.5, **CONTINUED)
    assert untimed(parts) == untimed(whole)
    assert outputs(tmp_path / "parts") == outputs(tmp_path / "whole")
    assert not (tmp_path / "parts" / CHECKPOINT).exists()


def test_small_buffers_and_crashes_change_nothing(go, tmp_path, monkeypatch):
    whole = go(folder="whole", **CONTINUED)
    monkeypatch.setattr(loop, "MAX_ROWS", 5)
    monkeypatch.setattr(loop, "MAX_FRAME_NUMBERS", 3 * 64 * 3)
    monkeypatch.setattr(run_module, "SECONDS_PER_CHECKPOINT", -1.0)
    write, calls = Outputs.write, []

    def crash(self, buffers):
        write(self, buffers)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(Outputs, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            go(folder="parts", **CONTINUED)
    parts = go(folder="parts", resume=True, **CONTINUED)
    assert untimed(parts) == untimed(whole)
    assert outputs(tmp_path / "parts") == outputs(tmp_path / "whole")


def test_checkpoints_of_other_inputs_or_damaged_ones_are_refused(go, tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        go(resume=True)
    go(last_step=10, FRQDFTB=1)
    with pytest.raises(InputError, match="other inputs"):
        go(resume=True, FRQDFTB=1, RNDSEED=1)
    path = tmp_path / "run" / CHECKPOINT
    whole = path.read_bytes()
    for size in range(0, len(whole), 499):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged"):
            go(resume=True, FRQDFTB=1)
    path.write_bytes(whole)
    (tmp_path / "run" / "traj.gen").write_bytes(b"")
    with pytest.raises(InputError, match=r"traj\.gen"):
        go(resume=True, FRQDFTB=1)


APPROACH = "2\n12.0 13.0 14.0\nC 5.9 0.1 0.0 4 0 0\nC 7.9 0.0 0.0 -4 0 0\n"
TWO_ATOMS = {
    "PRMFILE": "carbon.txt",
    "CRDFILE": "pair.xyz",
    "VELINIT": "READ",
    "CONSRNT": "NVE",
    "TIMESTP": 0.1,
    "N_MDSTP": 600,
    "TRAJEXT": "XYZ",
    "PRNTFRC": "false",
}


def test_contact_classes_of_two_atoms_that_collide(go, tmp_path):
    files = {"pair.xyz": APPROACH}
    go(files, "all", FRQDFTB=1, **TWO_ATOMS)
    frames = xyz_frames(tmp_path / "all" / "traj.xyz")
    assert len(frames) == 600
    distances = np.linalg.norm(frames[:, 0] - frames[:, 1], axis=1)
    classes = np.select([distances < 1.0, distances < 1.1], [2, 1], 0)
    assert set(classes) == {0, 1, 2}
    assert abs(distances - 1.0).min() > 1e-4  # five decimals tell the class
    assert abs(distances - 1.1).min() > 1e-4

    result = go(files, "bad", FRQDFTB=7, PRNTBAD="true", **TWO_ATOMS)
    assert result.contact_counts == tuple(int((classes == c).sum()) for c in (0, 1, 2))
    steps = np.arange(1, 601)
    wanted = [steps[(classes == 0) & (steps % 7 == 0)], *(steps[classes == c] for c in (1, 2))]
    for name, of_class in zip(CONTACT_FILES, wanted, strict=True):
        np.testing.assert_array_equal(xyz_frames(tmp_path / "bad" / name), frames[of_class - 1])
    index = np.loadtxt(tmp_path / "bad" / CONTACT_INDEX, dtype=int)
    np.testing.assert_array_equal(index[:, 0], np.sort(np.concatenate(wanted)))
    np.testing.assert_array_equal(index[:, 1], classes[index[:, 0] - 1])
    for step, contact, place in index[::11]:
        text = (tmp_path / "bad" / CONTACT_FILES[contact]).read_bytes()[place:]
        atoms = text.splitlines()[2:4]
        np.testing.assert_array_equal(
            [[float(x) for x in atom.split()[1:]] for atom in atoms], frames[step - 1]
        )

    go(files, "off", FRQDFTB=7, **TWO_ATOMS)
    assert [(tmp_path / "off" / name).read_bytes() for name in CONTACT_FILES] == [b"", b"", b""]


def test_an_exploding_run_leaves_a_readable_prefix(go, tmp_path):
    result = go(TIMESTP=3.0, N_MDSTP=5000, FRQDFTB=1, PRNTBAD="true", CONSRNT="NVE")
    assert not result.stable
    assert 1 < result.steps_done < 5000
    assert result.unstable_step == result.steps_done + 1
    assert result.reason
    rows = np.loadtxt(tmp_path / "run" / "md_statistics.out")
    assert len(rows) == result.steps_done
    assert np.isfinite(rows).all()
    gen = (tmp_path / "run" / "traj.gen").read_text().splitlines()
    assert len(gen) == (64 + 6) * result.steps_done
    n_frames = sum(len(xyz_frames(tmp_path / "run" / name)) for name in CONTACT_FILES)
    assert n_frames == result.steps_done == sum(result.contact_counts)
    assert np.isfinite(result.conserved.last)
    assert not (tmp_path / "run" / "output.xyz").exists()


def test_a_model_that_gives_no_number_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("ald_chimes_lsq.formats.tokens.MAX_NUMBER", math.inf)
    huge = FILES["params.txt"].replace("0 72.844139410028077", "0 1.7e308", 1)
    huge = huge.replace("1 16.442598180203255", "1 1.7e308", 1)
    (tmp_path / "cli").mkdir()
    for name, text in {**FILES, "params.txt": huge, "run_md.in": CONTROL}.items():
        (tmp_path / "cli" / name).write_text(text)
    assert main([str(tmp_path / "cli" / "run_md.in")]) == 0
    result = json.loads((tmp_path / "cli" / "md.json").read_text())
    assert (result["steps_done"], result["unstable_step"], result["stable"]) == (0, 1, False)
    assert "not numbers" in result["reason"]
    assert result["averages"] is None
    assert result["conserved"]["first"] is None


def test_equal_inputs_give_equal_bytes(tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        for name, text in {**FILES, "run_md.in": CONTROL}.items():
            (folder / name).write_text(text)
        assert main([str(folder / "run_md.in")]) == 0
        timing = json.loads((folder / "md_timing.json").read_text())
        assert timing["seconds_per_step"] > 0.0
        (folder / "md_timing.json").unlink()
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")


def test_bad_input_is_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / "run_md.in").write_text(CONTROL)
    assert main([str(tmp_path / "run_md.in")]) == 2
    assert main([str(tmp_path / "none.in")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "params.txt" in said[0]
    assert "none.in" in said[1]
    assert not (tmp_path / "md.json").exists()


@pytest.mark.parametrize("full", [True, False])
def test_a_file_that_cannot_be_written_is_status_3(tmp_path, capsys, full):
    for name, text in {**FILES, "run_md.in": CONTROL}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "md.json").write_text("{}")
    if full:
        (tmp_path / "traj.gen").symlink_to("/dev/full")
    else:
        (tmp_path / "traj.gen").mkdir()
    assert main([str(tmp_path / "run_md.in")]) == 3
    said = f"{tmp_path / 'traj.gen'}: {'No space left' if full else 'Is a directory'}"
    assert capsys.readouterr().err.startswith(said)
    assert not (tmp_path / "md.json").exists()


def test_atoms_almost_on_top_of_each_other_are_an_unstable_run(go):
    result = go({"a.xyz": "2\n9 9 9\nC 0 0 0\nC 0 0 0.00001\n"}, CRDFILE="a.xyz")
    assert (result.stable, result.steps_done) in {(False, 0), (False, 1)}


@pytest.mark.parametrize(
    ("files", "values", "said"),
    [
        (
            {},
            {"VELINIT": "READ"},
            r"run_md\.in, line 34: VELINIT READ would take the forces of input\.xyzf",
        ),
        (
            {"a.xyz": "1\n9 9 9\nC 0 0 0\n"},
            {"VELINIT": "READ", "CRDFILE": "a.xyz", "CONSRNT": "NVE"},
            "a.xyz, line 3: VELINIT READ needs velocities in columns 5 to 7; add",
        ),
        ({"a.xyz": "2\n9 9 9\nC 0 0 0\nN 1 1 1\n"}, {"CRDFILE": "a.xyz"}, "knows no 'N'"),
        ({"a.xyz": "1\n9 9 9\nC 0 0 0\n"}, {"CRDFILE": "a.xyz"}, "at least two atoms"),
        ({"a.xyz": "2\n9 9 9\nC 0 0 0\nC 0 0 0\n"}, {"CRDFILE": "a.xyz"}, "in the same place"),
        ({}, {"CRDFILE": "missing.xyz"}, "run_md.in, line 24: CRDFILE 'missing.xyz': no such file"),
        (
            {},
            {"PRMFILE": "../run"},
            "run_md.in, line 22: PRMFILE '../run': this is no file; correct",
        ),
        ({}, {"PRMFILE": "x" * 300}, "line 22: PRMFILE 'x+… no such file"),
        ({}, {"CMPRFRC": "true f.txt"}, r"run_md\.in, line 12: CMPRFRC 'f\.txt': no such file"),
        ({}, {"CONSRNT": "NVE FREEZE 0 64"}, "line 36: CONSRNT FREEZE 0 64: .* count"),
        ({"a.xyz": "2\n.8 .8 .8\nC 0 0 0\nO 1 1 1\n"}, {"CRDFILE": "a.xyz"}, "8378 neighbours"),
        ({"params.txt": FILES["params.txt"][:3000]}, {}, "params.txt"),
    ],
)
def test_files_that_do_not_fit_are_refused(go, files, values, said):
    with pytest.raises(InputError, match=said) as raised:
        go(files, **values)
    assert raised.value.line is not None
    assert raised.value.cure


@pytest.mark.parametrize("skin", [0.01, 0.2, 3.0])
def test_the_neighbour_list_changes_nothing_but_the_speed(go, tmp_path, monkeypatch, skin):
    monkeypatch.setattr(preparation, "automatic_skin", lambda *_: skin)
    go(N_MDSTP=40, TIMESTP=0.5, TEMPERA=4000)
    rows = np.loadtxt(tmp_path / "run" / "md_statistics.out")
    monkeypatch.undo()
    go(folder="other", N_MDSTP=40, TIMESTP=0.5, TEMPERA=4000)
    expected = np.loadtxt(tmp_path / "other" / "md_statistics.out")
    np.testing.assert_allclose(rows, expected, rtol=2e-7)


@pytest.mark.parametrize(
    ("place", "value", "code"),
    [
        (TEMPERATURE, 2e6, TOO_HOT),
        (TEMPERATURE, np.nan, NOT_FINITE),
        (CONSERVED, np.inf, NOT_FINITE),
        (POTENTIAL, -1e6, TOO_FAR_IN_ENERGY),
        (POTENTIAL, 1e6, TOO_FAR_IN_ENERGY),
        (POTENTIAL, 1e5, DONE),
    ],
)
def test_states_beyond_sense(go, tmp_path, place, value, code):
    go(last_step=1)
    control = read_control(tmp_path / "run" / "run_md.in")
    prepared = prepare(control, tmp_path / "run")
    prepared.state.numbers[place] = value
    assert fault(prepared.state, prepared.settings) == code
    prepared.state.numbers[place] = 0.0
    prepared.state.virial[1, 2] = np.nan
    assert fault(prepared.state, prepared.settings) == NOT_FINITE


def test_offsets_are_in_the_energies_unless_switched_off(go):
    offsets = "NO ENERGY OFFSETS:  2\nENERGY OFFSET 1  -1.0e+01\nENERGY OFFSET 2  -2.0e+01\n"
    files = {"params.txt": FILES["params.txt"].replace("ENDFILE", offsets + "ENDFILE")}
    plain = go(N_MDSTP=3).conserved.first
    n_carbon = sum(line.startswith("C") for line in FILES["input.xyzf"].splitlines())
    shift = (-10.0 * n_carbon - 20.0 * (64 - n_carbon)) / 64
    assert go(files, N_MDSTP=3).conserved.first == pytest.approx(plain + shift, abs=1e-9)
    assert go(files, N_MDSTP=3, ATMENER="false").conserved.first == pytest.approx(plain, abs=1e-12)


def test_a_supercell_has_the_forces_of_its_cell(go, tmp_path):
    values = {"N_MDSTP": 1, "TEMPERA": 0.0, "PRNTFRC": "true 1"}
    small = go(folder="small", **values)
    large = go(folder="large", NLAYERS="1 REPLICATE 1", **values)
    forces = [np.loadtxt(tmp_path / name / "forceout.txt") for name in ("small", "large")]
    np.testing.assert_allclose(forces[1], np.tile(forces[0], 8), atol=1e-9)
    assert large.conserved.first == pytest.approx(small.conserved.first, rel=1e-12)


def test_dynamics_do_not_depend_on_the_choice_of_cell_vectors(go, tmp_path):
    lines = FILES["input.xyzf"].splitlines()
    length = float(lines[1].split()[0])
    names = [line.split()[0] for line in lines[2:]]
    positions = np.array([line.split()[1:4] for line in lines[2:]], dtype=float)
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    skewed = length * np.array([[1, 0, 0], [-1, 1, 0], [2, 1, 1]]) @ rotation
    cell = " ".join(map(repr, skewed.ravel().tolist()))
    atoms = [
        f"{n} {x!r} {y!r} {z!r}"
        for n, (x, y, z) in zip(names, (positions @ rotation).tolist(), strict=True)
    ]
    text = "\n".join(["64", f"NON_ORTHO {cell}", *atoms, ""])
    values = {"TEMPERA": 0.0, "CONSRNT": "NVE", "N_MDSTP": 60, "TIMESTP": 0.5}
    go(folder="box", **values)
    go({"turned.xyz": text}, folder="turned", CRDFILE="turned.xyz", **values)
    box, turned = (np.loadtxt(tmp_path / f / "md_statistics.out") for f in ("box", "turned"))
    assert box[-1, 5] > 100.0
    np.testing.assert_allclose(turned, box, rtol=1e-6, atol=1e-9)


def test_wrapped_output_stays_in_the_cell(go, tmp_path):
    values = {"N_MDSTP": 400, "TIMESTP": 0.3, "TRAJEXT": "XYZ", "TEMPERA": 4000, "FRQDFTB": 100}
    go(folder="free", WRPCRDS="true", NLAYERS="1", **values)
    go(folder="wrapped", WRPCRDS="true", NLAYERS="0", **values)
    free, wrapped = (xyz_frames(tmp_path / f / "traj.xyz") for f in ("free", "wrapped"))
    length = 8.3465634528
    assert free.min() < 0.0 or free.max() > length
    assert wrapped.min() >= 0.0
    assert wrapped.max() <= length + 1e-5
    turns = (free - wrapped) / length
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)


def test_force_trajectories_and_velocity_files(go, tmp_path):
    go(N_MDSTP=20, FRQDFTB=10, PRNTFRC="true 10", PRNTVEL="true 10", TRAJEXT="XYZF_FORCE")
    folder = tmp_path / "run"
    assert (folder / "traj.xyzf").read_bytes() == (folder / "forceout.xyzf").read_bytes()
    forces = np.loadtxt(folder / "forceout.txt").reshape(2, 64, 3)
    lines = (folder / "traj.xyzf").read_text().splitlines()
    last = np.array([line.split()[4:] for line in lines[-64:]], dtype=float)
    np.testing.assert_allclose(last * 627.50961 * 1.889725989, forces[1], atol=0.006)
    labels = [line.split() for line in (folder / "forceout-labeled.txt").read_text().splitlines()]
    assert [row[0] for row in labels[:192:3]] == [line.split()[0] for line in lines[2:66]]
    np.testing.assert_array_equal([float(row[1]) for row in labels], forces.ravel())
    velocities = np.loadtxt(folder / "velocout.txt").reshape(2, 64, 3)
    final = (folder / "output.xyz").read_text().splitlines()[2:]
    expected = np.array([line.split()[4:] for line in final], dtype=float)
    np.testing.assert_allclose(velocities[1], expected, rtol=2e-6)
