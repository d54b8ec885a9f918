"""ChIMES models: bases, parameter files, design matrices, solvers, evaluation; the fitter `chimes`.

What is named here is imported when it is used, because compiled code takes its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ald_chimes_lsq.calculator import ChimesCalculator
    from ald_chimes_lsq.design import DesignMatrix, design_matrix
    from ald_chimes_lsq.evaluation import Evaluation
    from ald_chimes_lsq.exclusions import check_tiles, exclusion_blocks
    from ald_chimes_lsq.fitting import Fit, fit
    from ald_chimes_lsq.formats.setup import FitSetup, read_setup
    from ald_chimes_lsq.formats.xyzf import read_xyzf
    from ald_chimes_lsq.merging import merge_files, merge_models
    from ald_chimes_lsq.model import ChimesModel

__all__ = [
    "ChimesCalculator",
    "ChimesModel",
    "DesignMatrix",
    "Evaluation",
    "Fit",
    "FitSetup",
    "check_tiles",
    "design_matrix",
    "exclusion_blocks",
    "fit",
    "merge_files",
    "merge_models",
    "read_setup",
    "read_xyzf",
]

_MODULES = {
    "ChimesCalculator": "calculator",
    "ChimesModel": "model",
    "DesignMatrix": "design",
    "Evaluation": "evaluation",
    "Fit": "fitting",
    "FitSetup": "formats.setup",
    "check_tiles": "exclusions",
    "design_matrix": "design",
    "exclusion_blocks": "exclusions",
    "fit": "fitting",
    "merge_files": "merging",
    "merge_models": "merging",
    "read_setup": "formats.setup",
    "read_xyzf": "formats.xyzf",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
