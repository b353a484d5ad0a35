"""One root class, one subclass per meaning, one exit code each.

Every message is one sentence or two that say what came, what was expected and what to do. The command
line turns an error into its message on standard error and its ``exit_code``; the library raises it.
"""

from __future__ import annotations


class SpinepsError(Exception):
    """Root of everything that this package raises on purpose."""

    exit_code = 1


class MissingFileError(SpinepsError):
    """The scan does not exist or cannot be opened."""

    exit_code = 10


class NotNiftiError(SpinepsError):
    """The file is no NIfTI-1 or NIfTI-2 image."""

    exit_code = 11


class TruncatedFileError(SpinepsError):
    """The file ends before its voxels do."""

    exit_code = 12


class CorruptFileError(SpinepsError):
    """The stream's checksum contradicts its content."""

    exit_code = 13


class ImageSizeError(SpinepsError):
    """The header declares a size that no scan of a spine has."""

    exit_code = 14


class DimensionError(SpinepsError):
    """The image is not three-dimensional."""

    exit_code = 15


class EmptyImageError(SpinepsError):
    """The image has no signal."""

    exit_code = 16


class NotFiniteError(SpinepsError):
    """The image or a network's answer holds NaN or infinity."""

    exit_code = 17


class GeometryError(SpinepsError):
    """The affine is unusable, or the slices do not lie in the plane that the model was trained on."""

    exit_code = 18


class NoSpineError(SpinepsError):
    """No spine was found in the field of view."""

    exit_code = 19


class OutputError(SpinepsError):
    """The results cannot be written where they should go."""

    exit_code = 20


class OutputExistsError(OutputError):
    """Results are already there and overwriting was not asked for."""

    exit_code = 21


class ModelError(SpinepsError):
    """A model folder is missing, damaged, or not what its manifest says."""

    exit_code = 22


class EngineError(SpinepsError):
    """The engine that was asked for is not available or failed while running."""

    exit_code = 23


class OutOfMemoryError(EngineError):
    """A network needs more memory than there is, even one sample at a time."""


class SelfTestError(EngineError):
    """An engine's masks of the self-test's phantom are not those of the reference."""


class QualityError(SpinepsError):
    """The masks got a verdict that was not to be accepted."""

    exit_code = 25


class IncompleteSetError(SpinepsError):
    """Results are not whole: a file is missing, or is not the one that the run record vouches for."""

    exit_code = 26


class ContractError(SpinepsError):
    """An array's shape or type is not what the model's contract or a function demands."""

    exit_code = 24
