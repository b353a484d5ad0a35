"""A stored phantom through every engine: the acceptance check of a machine and of an engine that was built.

The phantom is stored and not made anew, because its noise comes out of floating-point arithmetic that differs
between processors in the last bit. ``python -m training.selftest`` makes it and the answer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

import spineps_rt.engines
from spineps_rt.errors import EngineError, SelfTestError, SpinepsError
from spineps_rt.io.nifti import read_nifti, write_nifti
from spineps_rt.labels import (
    CANAL,
    CORD,
    CORPUS,
    DISC,
    ENDPLATE,
    ENDPLATE_STRUCTURES,
    SACRUM,
    VERTEBRA_STRUCTURES,
    instance_name,
    structure_name,
)
from spineps_rt.models import ModelPair, resolve_models
from spineps_rt.options import DEVICES, EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.results import Result
from spineps_rt.volume import Volume

FOLDER = Path(spineps_rt.engines.__file__ or "").parent / "selftest"
"""The phantom, and the embedded models' answer to it."""
ENGINES = tuple(device for device in DEVICES if device != "cpu")
"""What a run takes by itself, and then one engine after the other."""
REFERENCE = "onnx"
"""Its answer is the reference: ONNX Runtime on the CPU in float32; without it OpenVINO, in float32 too."""
FEWEST_VOXELS = 20
"""A label of fewer voxels in the reference may be missing: rounding can take it away."""
LEAST_DICE = 0.98
"""Agreement below this is an error. Engines in float32 agree to 0.999: they differ where two logits tie."""
GROUPS: dict[str, tuple[int, ...]] = {
    "body": (CORPUS,),
    "process": tuple(label for label in VERTEBRA_STRUCTURES if label < CORPUS),
    "sacrum": (SACRUM,),
    "canal": (CORD, CANAL),
    "disc": (DISC,),
    "endplate": (*ENDPLATE_STRUCTURES, ENDPLATE),
}
"""Structures that are reported together; *process* holds the arch, too."""
INSTANCES = "instance"
"""The group of every label of the instance mask."""

Masks = tuple[np.ndarray, np.ndarray]
"""Semantic and instance mask on the phantom's grid."""


@dataclass(frozen=True)
class Check:
    """What one engine did."""

    device: str
    """What was asked for."""
    provider: str
    """What really ran; empty where the engine cannot be had."""
    seconds: float
    """From opening the engine to the masks."""
    dice: dict[str, float]
    """Group -> Dice with the reference, label by label; empty where there are no masks."""
    faults: tuple[str, ...]
    """What is wrong, a clause each; why it cannot be had where it cannot."""
    same_as: str = ""
    """A device that was tested before and runs the very same; this one was not run again."""

    @property
    def passed(self) -> bool:
        """Whether the engine ran and answered as it should."""
        return bool(self.dice) and not self.faults


def self_test(
    model: str | Path | ModelPair | None = None,
    *,
    devices: Sequence[str] = ENGINES,
    threads: int = 0,
    folder: Path = FOLDER,
) -> tuple[list[Check], bool]:
    """Run the phantom on every engine and compare the masks with the reference.

    Args:
        model: As :class:`~spineps_rt.pipeline.Pipeline` takes it.
        devices: The engines; one that cannot be had is named, which is no error while another can.
        threads: CPU threads; 0 takes every core.
        folder: Holds the phantom and answers.

    Returns:
        A check for each engine, and whether the reference was the stored answer. There is one for the
        embedded models; for others :data:`REFERENCE` answers first.

    Raises:
        ModelError: A model is missing or damaged.
        SpinepsError: There is no stored answer and :data:`REFERENCE` fails.
    """
    models = model if isinstance(model, ModelPair) else resolve_models(model)
    scan, answer = stored_phantom(models, folder=folder)
    reference = answer
    if reference is None:
        with _open_reference(models, threads) as pipeline:
            reference = _masks(pipeline.run(scan))
    checks: list[Check] = []
    for device in devices:
        checks.append(_check(models, device, threads, scan, reference, checks))
    return checks, answer is not None


def stored_phantom(models: ModelPair, *, folder: Path = FOLDER) -> tuple[Volume, Masks | None]:
    """Read the phantom.

    Args:
        models: Whose answer is wanted.
        folder: Holds the phantom and answers.

    Returns:
        The phantom, and both masks of the stored answer; None where there is none of these models.
    """
    scan = read_nifti(folder / "scan.nii.gz")
    paths = _answer_paths(models, folder)
    if not all(path.is_file() for path in paths):
        return scan, None
    semantic, instances = (read_nifti(path).array for path in paths)
    return scan, (semantic, instances)


def require_passed(checks: Sequence[Check]) -> None:
    """Raise unless an engine could be had and all that could be had passed.

    Args:
        checks: From :func:`self_test`.

    Raises:
        SelfTestError: The message says which engine failed and what is wrong.
    """
    had = [check for check in checks if check.provider]
    if not had:
        raise SelfTestError(f"No engine could be tested. {' '.join(check.faults[0] for check in checks)}")
    failed = [check for check in had if not check.passed]
    if failed:
        faults = "; ".join(f"{check.device}: {', '.join(check.faults)}" for check in failed)
        raise SelfTestError(
            f"The self-test failed: {faults.rstrip('.')}. Do not use this engine for scans; reinstall or "
            "rebuild it."
        )


def write_answer(folder: Path, models: ModelPair, result: Result) -> None:
    """Store what models answer to the phantom in a folder; the answer goes by both graphs' SHA-256.

    Args:
        folder: Holds the phantom.
        models: Whose answer it is.
        result: Of the phantom.
    """
    for path, mask in zip(_answer_paths(models, folder), (result.semantic, result.instances)):
        write_nifti(path, mask.array, like=result.image)


def _answer_paths(models: ModelPair, folder: Path) -> tuple[Path, Path]:
    key = f"{models.semantic.sha256[:16]}-{models.instance.sha256[:16]}"
    return folder / f"{key}_seg-spine.nii.gz", folder / f"{key}_seg-vert.nii.gz"


def _open(models: ModelPair, device: str, threads: int) -> Pipeline:
    return Pipeline(models, options=Options(engine=EngineOptions(device, threads), any_plane=True))


def _open_reference(models: ModelPair, threads: int) -> Pipeline:
    try:
        return _open(models, REFERENCE, threads)
    except EngineError:
        return _open(models, "openvino", threads)  # float32 as well; a plain installation has this one alone


def _masks(result: Result) -> Masks:
    return result.semantic.array, result.instances.array


def _check(
    models: ModelPair, device: str, threads: int, scan: Volume, reference: Masks, before: Sequence[Check]
) -> Check:
    start = perf_counter()
    try:
        pipeline = _open(models, device, threads)
    except EngineError as error:
        return Check(device, "", 0.0, {}, (str(error),))
    with pipeline:
        provider = pipeline.provider
        for same in before:
            if same.provider == provider:
                return replace(same, device=device, seconds=0.0, same_as=same.device)
        try:
            masks = _masks(pipeline.run(scan))
        except SpinepsError as error:
            return Check(device, provider, perf_counter() - start, {}, (str(error),))
    seconds = perf_counter() - start
    return Check(device, provider, seconds, *compare(masks, reference))


def compare(found: Masks, reference: Masks) -> tuple[dict[str, float], tuple[str, ...]]:
    """Compare masks group by group.

    Args:
        found: Semantic and instance mask, label maps of one shape.
        reference: What they should be.

    Returns:
        Group -> Dice, for groups that either holds; and what is wrong: labels of the reference that are
        missing, groups that agree less than :data:`LEAST_DICE`.
    """
    dice = {group: _dice(found[0], reference[0], ids) for group, ids in GROUPS.items()}
    dice[INSTANCES] = _dice(found[1], reference[1], np.unique(reference[1])[1:])
    faults = _missing(found[0], reference[0], structure_name) + _missing(
        found[1], reference[1], instance_name
    )
    faults += [
        f"{group} agrees to {value:.3f} (Dice), expected {LEAST_DICE} or more"
        for group, value in dice.items()
        if value < LEAST_DICE
    ]
    return {group: value for group, value in dice.items() if not np.isnan(value)}, tuple(faults)


def _dice(found: np.ndarray, reference: np.ndarray, ids: Sequence[int] | np.ndarray) -> float:
    """Dice over several labels, each to agree with itself; NaN where neither mask holds one."""
    here, there = np.isin(found, ids), np.isin(reference, ids)
    voxels = here.sum() + there.sum()
    return float(2 * (there & (found == reference)).sum() / voxels) if voxels else float("nan")


def _missing(found: np.ndarray, reference: np.ndarray, name: Callable[[int], str]) -> list[str]:
    sizes = np.bincount(reference.ravel())
    gone = np.setdiff1d(np.flatnonzero(sizes >= FEWEST_VOXELS), found)
    return [f"no {name(int(label))} is found" for label in gone]
