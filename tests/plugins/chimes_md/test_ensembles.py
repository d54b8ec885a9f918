"""All ensembles against their equations, written down once more in plain numpy."""

from pathlib import Path

import ase
import numpy as np
import pytest

from ald_chimes_lsq.model import ChimesModel
from ald_chimes_md.control import parse_control
from ald_chimes_md.keywords import with_values
from ald_chimes_md.run import run

DATA = Path(__file__).parents[2] / "data" / "chimes_md"
CONTROL = (DATA / "special3b" / "run_md.in").read_text()
PARAMETERS = DATA / "special3b" / "params.txt"
FRAME = (DATA / "special3b" / "input.xyzf").read_text().splitlines()
BOLTZMANN, GPA, TIME = 0.0019872067, 6.9476955, 48.888
STEPS = 12
NAMES = [line.split()[0] for line in FRAME[2:66]]
MASSES = np.array([{"C": 12.011, "O": 15.999}[name] for name in NAMES])[:, None]
LENGTH = float(FRAME[1].split()[0])
COUNT = 3 * 64 - 3

ENSEMBLES = {
    "NVE": {},
    "NVE FREEZE 3 40": {"moving": slice(3, 41)},
    "NVT-SCALE 5": {"scale": 5},
    "NVT-BEREND 3": {"tau": 3.0},
    "NVT-MTK HOOVER 2": {"tau": 2.0},
    "NVT-MTK HOOVER 2 FREEZE 10 63": {"tau": 2.0, "moving": slice(10, 64)},
    "NPT-BEREND 3 40": {"tau": 3.0, "tau_b": 40.0},
    "NPT-BEREND-ANISO 3 40": {"tau": 3.0, "tau_b": 40.0},
    "NPT-MTK HOOVER 2 3": {"tau": 2.0, "tau_b": 3.0},
}


def start():
    """Positions, velocities and cell that the run reads, too."""
    rng = np.random.default_rng(3)
    cell = np.array([LENGTH, LENGTH * 1.01, LENGTH * 0.99])
    r = np.array([line.split()[1:4] for line in FRAME[2:66]], dtype=float) / LENGTH % 1.0 * cell
    v = rng.normal(size=(64, 3)) * np.sqrt(BOLTZMANN * 3000.0 / MASSES)
    return r, v, cell


class Oracle:
    """One step after the other, each line as in the description of the ensembles."""

    def __init__(
        self, name, dt, target, pressure, tau=1.0, tau_b=1.0, scale=0, moving=slice(0, 64)
    ):
        self.kind = name.split()[0]
        self.model = ChimesModel.read(PARAMETERS)
        self.dt, self.kt, self.p_set = dt / TIME, BOLTZMANN * target, pressure / GPA
        self.target, self.scale, self.moving = target, scale, moving
        self.tau, self.tau_b = tau / TIME, tau_b / TIME
        self.r, v, self.cell = start()
        self.v = np.zeros_like(v)
        mass = MASSES[moving]
        self.v[moving] = v[moving] - (mass * v[moving]).sum(0) / mass.sum()
        self.q = COUNT * self.kt * self.tau**2
        self.w = (COUNT + 3) * self.kt * self.tau_b**2
        self.xi = self.xi_v = self.xi_f = self.eps = self.eps_v = self.eps_f = 0.0
        self.sum, self.rows = 0.0, []
        self.evaluate()
        self.record(1)

    def evaluate(self):
        atoms = ase.Atoms(NAMES, positions=self.r, cell=self.cell, pbc=True)
        said = self.model.evaluate(atoms)
        self.u, self.stress = said.energy, said.stress
        self.a = np.zeros_like(self.r)
        self.a[self.moving] = (said.forces / MASSES)[self.moving]

    @property
    def k(self):
        return 0.5 * (MASSES * self.v**2).sum()

    @property
    def temperature(self):
        return 2 * self.k / (COUNT * BOLTZMANN)

    def pressure(self, k):
        return np.trace(self.stress) / 3 + 2 * k / (3 * self.cell.prod())

    def conserved(self):
        total = self.k + self.u
        if self.kind == "NVT-MTK":
            total += 0.5 * self.q * self.xi_v**2 + COUNT * self.kt * self.xi
        if self.kind == "NPT-MTK":
            total += 0.5 * self.q * self.xi_v**2 + (COUNT + 1) * self.kt * self.xi
            total += 0.5 * self.w * self.eps_v**2 + self.p_set * self.cell.prod()
        return total

    def record(self, step):
        p_conf = np.trace(self.stress) / 3 * GPA
        row = [self.k / 64, self.u / 64, (self.k + self.u) / 64, self.temperature]
        row += [self.pressure(self.k) * GPA]
        row += [self.conserved() / 64] if "MTK" in self.kind else []
        row += [p_conf] + ([self.cell.prod()] if "NPT" in self.kind else [])
        self.rows.append(row)
        self.sum += self.temperature
        if self.scale and step % self.scale == 0:
            self.v *= np.sqrt(self.target / (self.sum / self.scale))
            self.sum = 0.0

    def step(self, number):
        dt, v, g = self.dt, self.v.copy(), 2 + 3 / COUNT
        k0, xi_v, eps_v, s = self.k, self.xi_v, self.eps_v, 1.0
        self.r = self.r + v * dt + 0.5 * self.a * dt**2
        if self.kind.startswith("NPT-BEREND"):
            volume = self.cell.prod()
            own = np.full(3, np.trace(self.stress) / 3)
            if self.kind.endswith("ANISO"):
                own = np.diag(self.stress)
            p = own + 2 * k0 / (3 * volume)
            mu = (1 - dt / self.tau_b * (self.p_set - p)) ** (1 / 3)
            self.cell, self.r = self.cell * mu, self.r * mu
        if "MTK" in self.kind:
            self.r = self.r - 0.5 * xi_v * v * dt**2
            self.xi += xi_v * dt + 0.5 * self.xi_f * dt**2
        if self.kind == "NPT-MTK":
            change = eps_v * dt + 0.5 * dt**2 * self.eps_f / self.w - 0.5 * dt**2 * eps_v * xi_v
            self.eps += change
            s = np.exp(change)
            c = (MASSES * self.r).sum(0) / MASSES.sum()
            self.r = s * (self.r - 0.5 * dt**2 * g * eps_v * v - c) + c
            self.cell = self.cell * s
        half = v + 0.5 * self.a * dt
        if "MTK" in self.kind:
            half = half - 0.5 * xi_v * v * dt
        if self.kind == "NPT-MTK":
            half = s * (half - 0.5 * g * eps_v * v * dt)
        self.evaluate()
        self.v = half + 0.5 * self.a * dt
        if self.kind == "NVT-MTK":
            self.thermostat(k0)
        elif self.kind == "NPT-MTK":
            self.barostat(k0)
        elif "BEREND" in self.kind:
            self.v = self.v * np.sqrt(1 + dt / self.tau * (self.target / self.temperature - 1))
        self.record(number)

    def thermostat(self, k0):
        free, xi_v, xi_f = self.v.copy(), self.xi_v, self.xi_f
        force = (2 * k0 - COUNT * self.kt) / self.q
        for _ in range(10):
            self.xi_v = xi_v + 0.5 * (xi_f + force) * self.dt
            self.v = free / (1 + 0.5 * self.xi_v * self.dt)
            force = (2 * self.k - COUNT * self.kt) / self.q
        self.xi_f = force

    def barostat(self, k0):
        dt, g, free = self.dt, 2 + 3 / COUNT, self.v.copy()
        xi_v, xi_f, eps_v, eps_f = self.xi_v, self.xi_f, self.eps_v, self.eps_f
        volume = self.cell.prod()

        def once(k, last):
            excess = self.pressure(k) - self.p_set
            self.eps_f = 3 / COUNT * 2 * k + 3 * volume * excess
            self.xi_f = (2 * k + self.w * last**2 - (COUNT + 1) * self.kt) / self.q
            self.xi_v = xi_v + 0.5 * (xi_f + self.xi_f) * dt
            rate = eps_f / self.w - eps_v * xi_v + self.eps_f / self.w - last * self.xi_v
            self.eps_v = eps_v + 0.5 * dt * rate
            return 1 + 0.5 * dt * (self.xi_v + g * self.eps_v)

        z = once(k0, eps_v)
        for _ in range(10):
            self.v = free / z
            z = once(self.k, self.eps_v)


@pytest.fixture
def go(tmp_path):
    """Run the atoms of the oracle; returns its restart numbers, statistics and result."""

    def start_run(**values):
        r, v, cell = start()
        rows = np.hstack([r, v]).tolist()
        atoms = [" ".join([name, *map(repr, row)]) for name, row in zip(NAMES, rows, strict=True)]
        (tmp_path / "a.xyz").write_text(
            "\n".join(["64", " ".join(map(repr, cell.tolist())), *atoms, ""])
        )
        (tmp_path / "params.txt").write_text(PARAMETERS.read_text())
        fixed = {
            "CRDFILE": "a.xyz", "VELINIT": "READ", "N_MDSTP": STEPS, "FRQRSTR": STEPS,
            "TIMESTP": 0.25, "TEMPERA": 2500, "PRESSUR": 3.0,
        }  # fmt: skip
        control = parse_control(with_values(CONTROL, {**fixed, **values}))
        return run(control, tmp_path)

    return start_run


@pytest.mark.parametrize("name", ENSEMBLES)
def test_twelve_steps_are_those_of_the_equations(go, tmp_path, name):
    oracle = Oracle(name, 0.25, 2500.0, 3.0, **ENSEMBLES[name])
    for number in range(2, STEPS + 1):
        oracle.step(number)
    assert go(CONSRNT=name).stable

    lines = (tmp_path / "restart.xyzv").read_text().splitlines()
    cell = np.array(lines[1].split(), dtype=float)
    atoms = np.array([line.split()[1:] for line in lines[2:66]], dtype=float)
    numbers = np.array(lines[66:], dtype=float)
    assert len(numbers) == 55
    np.testing.assert_allclose(atoms[:, :3], oracle.r, rtol=0, atol=1e-12)
    np.testing.assert_allclose(atoms[:, 3:6], oracle.v, rtol=0, atol=1e-12)
    np.testing.assert_allclose(cell, oracle.cell, rtol=0, atol=1e-12)
    if "MTK" in name:
        expected = [oracle.xi, oracle.xi_v, oracle.xi_f, oracle.q]
        np.testing.assert_allclose(numbers[2:6], expected, rtol=1e-11)
    if "NPT-MTK" in name:
        expected = [oracle.eps, oracle.eps_v, oracle.eps_f, oracle.w]
        np.testing.assert_allclose(numbers[9:13], expected, rtol=1e-11)

    rows = np.loadtxt(tmp_path / "md_statistics.out")
    np.testing.assert_array_equal(rows[:, 0], np.arange(1, STEPS + 1))
    np.testing.assert_allclose(rows[:, 2:], oracle.rows, rtol=1e-7)
    frozen = np.ones(64, dtype=bool)
    frozen[ENSEMBLES[name].get("moving", slice(0, 64))] = False
    np.testing.assert_array_equal(atoms[frozen, :3], start()[0][frozen])


def test_the_case_exercises_what_it_compares(go, tmp_path):
    """The cell changes by per cent, differently along each axis, and velocities are scaled."""
    go(CONSRNT="NPT-BEREND-ANISO 3 40")
    cell = np.array((tmp_path / "output.xyz").read_text().splitlines()[1].split(), dtype=float)
    factors = cell / start()[2]
    assert abs(factors - 1.0).max() > 1e-3
    assert np.ptp(factors) > 1e-4


@pytest.mark.parametrize("name", ["NVT-MTK HOOVER 10", "NPT-MTK HOOVER 10 50"])
def test_the_error_of_the_conserved_quantity_is_second_order(go, name):
    deviations = [
        go(CONSRNT=name, TIMESTP=dt, N_MDSTP=int(16 / dt) + 1).conserved.max_deviation
        for dt in (0.4, 0.2, 0.1)
    ]
    assert deviations[0] / deviations[1] == pytest.approx(4.0, rel=0.25)
    assert deviations[1] / deviations[2] == pytest.approx(4.0, rel=0.25)


def test_a_barostat_reaches_its_pressure_and_the_list_follows_the_cell(go, tmp_path, monkeypatch):
    values = {"CONSRNT": "NPT-BEREND 20 150", "TIMESTP": 0.4, "N_MDSTP": 300, "PRESSUR": -20}
    result = go(**values)
    assert result.stable
    rows = np.loadtxt(tmp_path / "md_statistics.out")
    assert rows[-1, -1] < 0.97 * rows[0, -1]
    assert rows[-50:, 6].mean() == pytest.approx(-20.0, abs=3.0)
    monkeypatch.setattr("ald_chimes_md.preparation.automatic_skin", lambda *_: 0.0)
    again = go(**{**values, "FRQRSTR": 1, "N_MDSTP": 60})  # a new list at every step
    every = np.loadtxt(tmp_path / "md_statistics.out")
    assert again.stable
    np.testing.assert_allclose(every, rows[:60], rtol=1e-6)


def test_a_thermostat_that_cannot_scale_and_a_barostat_that_cannot_are_unstable_runs(go):
    hot = go(CONSRNT="NVT-BEREND 0.01", TEMPERA=1, TIMESTP=0.5)
    assert (hot.stable, hot.steps_done) == (False, 1)
    assert "thermostat" in hot.reason
    pressed = go(CONSRNT="NPT-BEREND 3 0.001", PRESSUR=500)
    assert (pressed.stable, pressed.steps_done) == (False, 1)
    assert "barostat" in pressed.reason
    blown = go(CONSRNT="NPT-BEREND 3 0.01", PRESSUR=-3000, N_MDSTP=200)
    assert not blown.stable
    assert blown.reason
