import threading
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ald_chimes_lsq import design_matrix, read_setup, read_xyzf, threads
from ald_chimes_lsq.solvers.solve import solve

DATA = Path(__file__).parents[2] / "data" / "chimes_lsq"


@pytest.fixture(params=[1, 3])
def n_threads(request, monkeypatch):
    monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", request.param)
    return request.param


def test_results_come_in_the_order_of_the_items(n_threads):
    def work(item):
        time.sleep(0.002 * (item % 3))
        return item, threading.current_thread().name

    results = list(threads.results_in_order(work, iter(range(20))))
    assert [item for item, _ in results] == list(range(20))
    assert len({name for _, name in results}) <= n_threads


def test_few_items_are_taken_ahead_of_the_results(n_threads):
    taken = []

    def items():
        for i in range(50):
            taken.append(i)
            yield i

    results = threads.results_in_order(lambda item: item, items())
    next(results)
    assert len(taken) <= n_threads + 1
    results.close()


def test_the_first_error_in_order_is_raised(n_threads):
    def work(item):
        if item == 2:
            time.sleep(0.02)
        if item >= 2:
            raise ValueError(item)
        return item

    results = threads.results_in_order(work, range(30))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match=r"^2$"):
        next(results)


def test_rows_do_not_depend_on_the_number_of_threads(monkeypatch):
    setup = read_setup(DATA / "setups" / "molten_carbon.fm_setup.in")
    frames = read_xyzf(DATA / "trajectories" / "molten_carbon.xyzf") * 3

    def rows(n):
        monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", n)
        return design_matrix(setup, frames).matrix.tobytes()

    assert rows(1) == rows(3)


@pytest.mark.parametrize("algorithm", ["lasso", "ridge", "svd"])
def test_fits_do_not_depend_on_the_number_of_threads(monkeypatch, algorithm):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(700, 300)), rng.normal(size=700)

    def solution(n):
        monkeypatch.setattr(threads.config, "NUMBA_NUM_THREADS", n)
        with threadpool_limits(limits=n, user_api="blas"):
            return solve(a, b, algorithm=algorithm, alpha=1e-2).x.tobytes()

    assert solution(1) == solution(2)
