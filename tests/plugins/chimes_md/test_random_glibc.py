"""The C library's random numbers, and velocities drawn from them."""

from itertools import islice

import numpy as np
import pytest

from ald_chimes_lsq.constants import BOLTZMANN
from ald_chimes_md.random_glibc import rand, thermal_velocities, without_drift


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (1, [1804289383, 846930886, 1681692777, 1714636915, 1957747793]),
        (0, [1804289383, 846930886, 1681692777, 1714636915, 1957747793]),
        (42, [71876166, 708592740, 1483128881, 907283241, 442951012]),
    ],
)
def test_first_numbers_are_those_of_glibc(seed, expected):
    assert list(islice(rand(seed), 5)) == expected


def test_seeds_are_taken_as_unsigned_32_bit_integers():
    assert list(islice(rand(-5), 50)) == list(islice(rand(2**32 - 5), 50))
    assert list(islice(rand(2**31 + 7), 50)) != list(islice(rand(7), 50))


def test_components_alternate_between_sine_and_cosine():
    masses = np.array([12.0, 16.0])
    velocities = thermal_velocities(masses, 1000.0, 12357).ravel()
    draws = np.array(list(islice(rand(12357), 12))).reshape(6, 2) / 2147483647
    radius = np.sqrt(-2 * np.log(draws[:, 0]))
    angle = 2 * np.pi * draws[:, 1]
    expected = np.where([1, 0] * 3, np.sin(angle), np.cos(angle)) * radius
    expected *= np.sqrt(BOLTZMANN * 1000.0 / np.repeat(masses, 3))
    np.testing.assert_allclose(velocities, expected, rtol=1e-13)


def test_many_atoms_have_the_temperature_asked_for():
    masses = np.full(2000, 12.0)
    velocities = thermal_velocities(masses, 500.0, 3)
    assert (12.0 * velocities**2).mean() / BOLTZMANN == pytest.approx(500.0, rel=0.05)


def test_the_mean_temperature_without_drift_is_that_of_3n_minus_3_degrees():
    """Each of 400 seeds has a variance of 2 T²/(3N − 3); equipartition holds for either mass."""
    masses = np.array([1.0, 16.0, 12.0, 40.0] * 2)
    degrees = 3 * len(masses) - 3
    drawn = [thermal_velocities(masses, 300.0, seed) for seed in range(1, 401)]
    energies = [masses @ (without_drift(v, masses) ** 2).sum(axis=1) for v in drawn]
    temperatures = np.array(energies) / (degrees * BOLTZMANN)
    assert temperatures.mean() == pytest.approx(300.0, abs=4 * 300.0 * np.sqrt(2 / degrees / 400))
    assert temperatures.var() == pytest.approx(2 * 300.0**2 / degrees, rel=0.3)
    by_mass = masses * np.mean(np.square(drawn), axis=(0, 2)) / BOLTZMANN
    np.testing.assert_allclose(by_mass, 300.0, rtol=4 * np.sqrt(2 / 1200))


def test_no_momentum_is_left():
    masses = np.array([1.0, 16.0, 12.0])
    velocities = without_drift(thermal_velocities(masses, 300.0, 9), masses)
    np.testing.assert_allclose(masses @ velocities, 0.0, atol=1e-14)
