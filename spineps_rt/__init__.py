"""spineps-rt: the deployment runtime of SPINEPS."""

from spineps_rt._version import __version__

__all__ = ["__version__"]
