"""spineps-rt: the deployment runtime of SPINEPS.

``spineps_rt.segment("scan.nii.gz")`` is the whole way; :class:`Pipeline` keeps the models loaded between
scans. Names are imported when they are first used, so that ``spineps-rt --help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spineps_rt._version import __version__

if TYPE_CHECKING:
    from spineps_rt.errors import SpinepsError
    from spineps_rt.io.naming import output_paths
    from spineps_rt.io.nifti import read_nifti
    from spineps_rt.io.sets import require_complete
    from spineps_rt.options import Options
    from spineps_rt.pipeline import Pipeline, segment
    from spineps_rt.report.write import write_outputs
    from spineps_rt.results import Result
    from spineps_rt.volume import Volume

_HOME = {
    "Options": "options",
    "Pipeline": "pipeline",
    "Result": "results",
    "SpinepsError": "errors",
    "Volume": "volume",
    "output_paths": "io.naming",
    "read_nifti": "io.nifti",
    "require_complete": "io.sets",
    "segment": "pipeline",
    "write_outputs": "report.write",
}

__all__ = [
    "Options",
    "Pipeline",
    "Result",
    "SpinepsError",
    "Volume",
    "__version__",
    "output_paths",
    "read_nifti",
    "require_complete",
    "segment",
    "write_outputs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
