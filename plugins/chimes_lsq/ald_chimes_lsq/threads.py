"""Work of several threads that gives the same bytes as that of one.

Compiled code and NumPy's linear algebra let go of Python's lock, so that threads help. Their number is that of numba:
`NUMBA_NUM_THREADS`, which a job sets to its cores, or all cores that this process may use.

What is shared out are frames. One configuration is evaluated by one thread: without 4-body terms most of the time goes
into neighbour lists, the loop of molecular dynamics is compiled as a whole, and numba's own threads end a process that
was forked while they were in use.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from numba import config
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


def results_in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The result for each item, in the order of the items; only a few wait to be taken at a time.

    The first error, in that order, is raised.
    """
    n = int(config.NUMBA_NUM_THREADS)
    if n < 2:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(n) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > n:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Let BLAS work with one thread: the last digits of its sums depend on their number."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with _blas().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
