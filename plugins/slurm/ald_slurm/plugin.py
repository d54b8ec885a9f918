"""What this distribution offers."""

from ald_core.hookspecs import hookimpl
from ald_core.roles import Scheduler
from ald_slurm.scheduler import SlurmScheduler


@hookimpl
def ald_schedulers() -> list[type[Scheduler]]:
    """Offer the scheduler `slurm`."""
    return [SlurmScheduler]
