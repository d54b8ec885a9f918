"""The fitter `correction`: GFN1-xTB and a ChIMES model together against GFN2-xTB, and what a baseline may not do."""

import contextlib
from typing import ClassVar

import attrs
import numpy as np
import pytest
from ase.build import molecule
from tblite.ase import TBLite

from ald_ase import single_point
from ald_ase.labeler import AseLabeler
from ald_chimes_lsq import fit_job
from ald_chimes_lsq.fitter import ChimesFitter
from ald_core.errors import InputError
from ald_core.roles import Labeler
from ald_core.types import Failure, JobSpec, Labels, TrainingSet
from ald_hierarchical.correction import CorrectionFitter
from ald_hierarchical.rest import FITTED

SETUP = """\
# TRJFILE #
 none.xyzf
# PAIRTYP #
 CHEBYSHEV 8 4 0
# CHBTYPE #
 MORSE
# FITENER #
 true
# FITSTRS #
 false
# NATMTYP #
 2
# TYPEIDX # # ATM_TYP # # ATMCHRG # # ATMMASS #
1 C 0.0 12.011
2 H 0.0 1.008
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA #
1 C C 1.0 4.0 0.01 1.5
2 H H 0.9 4.0 0.01 1.2
3 C H 0.7 4.0 0.01 1.1
# FCUTTYP #
 CUBIC
# ENDFILE #
"""
KELVIN = 3000.0


class Jobs:
    """Runs the programs of tasks here, each identity once."""

    def __init__(self, folder):
        self.folder = folder
        self.done = {}
        self.roles = []

    def __call__(self, tasks):
        return [self.result(task) for task in tasks]

    def result(self, task):
        if task.identity not in self.done:
            workdir = self.folder / f"{len(self.done):03d}"
            workdir.mkdir(parents=True)
            self.roles.append(task.role)
            spec = task.prepare(workdir, 0)
            with contextlib.chdir(workdir):
                if "ald_ase.single_point" in spec.command:
                    single_point.main()
                elif "ald_chimes_lsq.fit_job" in spec.command:
                    fit_job.main(spec.command[-1])
            self.done[task.identity] = workdir
        result = task.collect(self.done[task.identity])
        if isinstance(result, Failure):
            raise InputError(f"{task.role} '{task.name}' failed: {result.reason}")
        return result


@attrs.frozen(kw_only=True)
class Warm(Labeler):
    """A method that says nothing but the temperature, or nothing at all."""

    name: ClassVar[str] = "warm"
    kinds: ClassVar = frozenset({"bulk"})

    def check_temperature(self, temperature, elements):
        return ["there is no 0.hsd; add it"] if temperature == 0.0 else []

    def prepare(self, frame, workdir, rung):
        return JobSpec(("true",), ())

    def collect(self, frame, workdir):
        if frame.temperature > 9000.0:
            return Failure("too hot", "numerical")
        energy = float("nan") if frame.temperature > 8000.0 else frame.temperature
        return Labels(energy, np.zeros((len(frame.atoms), 3)))


def methane(seed):
    atoms = molecule("CH4")
    atoms.rattle(0.1, seed=seed)
    return atoms


def better(atoms):
    """What the better method says."""
    calculator = TBLite(method="GFN2-xTB", verbosity=0, electronic_temperature=KELVIN)
    atoms = atoms.copy()
    atoms.calc = calculator
    return Labels(atoms.get_potential_energy(), atoms.get_forces())


@pytest.fixture
def inner(tmp_path):
    (tmp_path / "fm_setup.in").write_text(SETUP)
    return ChimesFitter(setup=tmp_path / "fm_setup.in", algorithm="ridge", alpha=1e-4)


def xtb():
    return AseLabeler(
        calculator="tblite",
        options={"method": "GFN1-xTB", "verbosity": 0},
        temperature_option="electronic_temperature",
    )


def rms(values):
    return float(np.sqrt(np.mean(np.square(np.concatenate(values)))))


def test_a_correction_of_xtb(tools, inner, tmp_path, record_property):
    frames = [tools.labeled(i, a, better(a)) for i, a in enumerate(map(methane, range(26)))]
    frames = [attrs.evolve(f, frame=attrs.evolve(f.frame, temperature=KELVIN)) for f in frames]
    fitted, held_out = TrainingSet(tuple(frames[:20])), frames[20:]
    fitter, jobs = CorrectionFitter(baseline=xtb(), inner=inner), Jobs(tmp_path / "jobs")
    assert fitter.check(["C", "H"]) == []
    out = tmp_path / "GEN_FF"
    out.mkdir()
    model = fitter.fit(fitted, tools.weights(fitted), out, jobs)
    assert model.format == "chimes-correction"  # which MD without the baseline does not read
    assert model.path.read_bytes() == (out / FITTED / "params.txt").read_bytes()
    assert jobs.roles.count("label") == 20
    said = fitter.predict(model, [f.frame for f in held_out], jobs)
    assert jobs.roles.count("label") == 26
    fitter.predict(model, [f.frame for f in held_out], jobs)
    assert jobs.roles.count("label") == 26
    [baseline] = jobs([task_of(fitter, held_out[0].frame)])
    alone = [calculated(f.frame.atoms) for f in held_out]
    assert baseline.energy == pytest.approx(alone[0].energy, rel=1e-12)
    before = rms([a.forces - f.labels.forces for a, f in zip(alone, held_out, strict=True)])
    after = rms([s.forces - f.labels.forces for s, f in zip(said, held_out, strict=True)])
    record_property("held-out force errors, eV/Å", f"{before:.4f} {after:.4f}")
    assert before > 0.1
    assert after < 0.2 * before
    reference, whole = np.loadtxt(out / "compare.txt").T
    inner_reference, inner_said = np.loadtxt(out / FITTED / "compare.txt").T
    assert whole - reference == pytest.approx(inner_said - inner_reference, abs=2e-4)


def task_of(fitter, frame):
    from ald_hierarchical.baseline import evaluate_baseline

    tasks = []
    evaluate_baseline(fitter.baseline, [frame], lambda asked: tasks.extend(asked) or asked)
    return tasks[0]


def calculated(atoms):
    atoms = atoms.copy()
    atoms.calc = TBLite(method="GFN1-xTB", verbosity=0, electronic_temperature=KELVIN)
    return Labels(atoms.get_potential_energy(), atoms.get_forces())


def frame_at(tools, kelvin, kind="bulk", number=0):
    one = tools.labeled(number, methane(0), None).frame
    return attrs.evolve(one, temperature=kelvin, kind=kind)


def test_each_frame_has_its_own_temperature(tools, inner, tmp_path):
    fitter = CorrectionFitter(baseline=Warm(), inner=inner)
    same = attrs.evolve(frame_at(tools, 100.0), temperature=200.0)
    known = [task_of(fitter, f) for f in (frame_at(tools, 100.0), same)]
    assert [t.collect(tmp_path).energy for t in known] == [100.0, 200.0]
    assert len({t.identity for t in known}) == 2


@pytest.mark.parametrize(
    ("kelvin", "kind", "words"),
    [
        (9500.0, "bulk", "label 'baseline of 000-liquid-000000000' failed: too hot"),
        (8500.0, "bulk", "baseline of 000-liquid-000000000' failed: an energy, force or stress is"),
        (0.0, "bulk", "the baseline 'warm': there is no 0.hsd; add it"),
        (300.0, "gas", "the baseline 'warm' cannot label gas frames; choose another one"),
    ],
)
def test_a_baseline_that_says_nothing_stops_the_fit(tools, inner, tmp_path, kelvin, kind, words):
    fitter = CorrectionFitter(baseline=Warm(), inner=inner)
    frame = attrs.evolve(
        tools.labeled(0, methane(0), better(methane(0))), frame=frame_at(tools, kelvin, kind)
    )
    training = TrainingSet((frame,))
    with pytest.raises(InputError, match=words):
        fitter.fit(training, tools.weights(training), tmp_path, Jobs(tmp_path / "jobs"))
    assert not (tmp_path / FITTED).exists()


def test_corrections_are_put_on_tiles_but_not_below(world, inner):
    """A correction cannot be merged with models; a merged model can correct."""
    outer = CorrectionFitter(baseline=Warm(), inner=world.fitter())
    assert outer.check(["C", "N"]) == []
    (problem,) = world.fitter(inner=CorrectionFitter(baseline=Warm(), inner=inner)).check(
        ["C", "N"]
    )
    assert "'correction' gives models of format 'chimes-correction'" in problem
