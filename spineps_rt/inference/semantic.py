"""The semantic network of an engine over a whole volume."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spineps_rt.backends.base import Engine
from spineps_rt.errors import ContractError
from spineps_rt.inference.device_window import DeviceAccumulator, window_bytes
from spineps_rt.inference.host_window import HostAccumulator
from spineps_rt.inference.normalise import measured, normalise
from spineps_rt.inference.out_of_memory import device_buffers, within_memory
from spineps_rt.inference.predictors import Margins, RunStats, TileProgress
from spineps_rt.inference.tile_search import Search, search_for_spine
from spineps_rt.inference.tiling import TilePlan, plan_tiles
from spineps_rt.inference.window import Accumulator, sliding_window
from spineps_rt.models.manifest import SemanticModel
from spineps_rt.options import SemanticOptions
from spineps_rt.volume import bounding_box

SMALLEST = 2.0**-25
"""Up to here an intensity is zero in float16, as which SPINEPS looks for the non-zero voxels."""
_DEFAULTS = SemanticOptions()
_LOG = logging.getLogger(__name__)


class SemanticNetwork:
    """An engine as a :class:`~spineps_rt.inference.predictors.SemanticPredictor`.

    Where its network runs between buffers of a GPU, tiles are cut and summed there, else on the host.
    """

    def __init__(self, engine: Engine) -> None:
        """Take an engine, which stays its opener's to close.

        Args:
            engine: Of a semantic model.

        Raises:
            ContractError: The model is another.
        """
        if not isinstance(engine.model, SemanticModel):
            raise ContractError(
                f"Model {engine.model.name!r} is no semantic model; tiles can only be stitched from logits."
            )
        self._engine = engine

    @property
    def model(self) -> SemanticModel:
        """The model in the variant that runs."""
        return self._engine.model  # type: ignore[return-value]

    @property
    def provider(self) -> str:
        """What runs it."""
        return self._engine.provider

    def classify(
        self,
        image: np.ndarray,
        options: SemanticOptions = _DEFAULTS,
        *,
        overwrite: bool = False,
        progress: TileProgress | None = None,
    ) -> tuple[np.ndarray, RunStats]:
        """Segment an image that already has the model's orientation and spacing.

        As nnU-Net does (``DefaultPreprocessor``, ``export_prediction``): crop to the box of the non-zero
        voxels, normalise what is in it, run the sliding window, and leave everything outside the box
        background. nnU-Net's own resampling has nothing to do at the model's spacing and is left out.

        Args:
            image: 3-D real array, axes as the model's ``orientation`` (P, I, R).
            options: Its ``step``, ``mirror``, ``localize`` and ``sums`` matter here.
            overwrite: The image may be overwritten, which spares a copy.
            progress: Called with tiles done and tiles in all.

        Returns:
            uint8 label map of the image's shape and axes, C-contiguous, and what was run.

        Raises:
            ContractError: The image is not 3-D.
            EmptyImageError: Every voxel is zero.
            NotFiniteError: The image or the network's answer holds NaN or infinity.
            OutOfMemoryError: Memory does not suffice.
            EngineError: The engine failed.
        """
        if image.ndim != 3:
            raise ContractError(f"An image of shape {image.shape} came; expected three axes.")
        model = self.model
        box = bounding_box((image > SMALLEST) | (image < -SMALLEST))
        turned = image[box].transpose(model.axis_order)
        plan = plan_tiles(turned.shape, model.patch, model.step if options.step is None else options.step)
        classes, sums, stats = self._classify(turned, plan, options, overwrite=overwrite, progress=progress)
        labels = np.zeros(image.shape, np.uint8)
        labels[box] = model.label_table[classes].transpose(np.argsort(model.axis_order))
        self._engine.release_buffers()
        axis = model.axis_order[plan.long_axis]
        rows = (box[axis].start, image.shape[axis] - box[axis].stop)
        table = np.pad(sums.margins, ((0, 0), rows, (0, 0)))
        margins = Margins(model.label_table[: len(table)], table, axis)
        return labels, replace(stats, margins=margins)

    def _classify(
        self,
        image: np.ndarray,
        plan: TilePlan,
        options: SemanticOptions,
        *,
        overwrite: bool,
        progress: TileProgress | None,
    ) -> tuple[np.ndarray, Accumulator, RunStats]:
        """Classes of an image in the network's axes, and what summed them."""
        model, axes, gpu = self.model, self._mirror_axes(options), self._on_gpu
        localize = options.localize and not (gpu and axes)  # a mirrored tile is nowhere whole on the GPU
        accumulator = self._accumulators(image, plan, options, overwrite=overwrite)

        def attempt() -> tuple[np.ndarray, Accumulator, Search | None]:
            search = search_for_spine(model, plan) if localize else None
            sums = accumulator()
            return sliding_window(sums, plan, search=search, progress=progress), sums, search

        buffers = sum(window_bytes(model, plan, sums=options.sums).values()) if gpu else 0
        classes, sums, search = within_memory(self._engine, attempt, buffers=buffers)
        planned = sums.samples
        if search:
            planned += (len(plan.tiles) - search.tiles_run) * 2 ** len(axes)
            _log_search(search)
        return classes, sums, RunStats(self.provider, sums.samples, planned, sums.seconds)

    def _accumulators(
        self, image: np.ndarray, plan: TilePlan, options: SemanticOptions, *, overwrite: bool
    ) -> Callable[[], Accumulator]:
        """Normalise the image once, for every accumulator that is then made."""
        engine, scheme, axes = self._engine, self.model.normalisation, self._mirror_axes(options)
        if self._on_gpu:
            values = measured(image, scheme)
            return lambda: DeviceAccumulator(engine, values, plan, mirror_axes=axes, sums=options.sums)
        tensor = normalise(image, scheme, overwrite=overwrite)
        return lambda: HostAccumulator(engine, tensor, plan, mirror_axes=axes)

    def _mirror_axes(self, options: SemanticOptions) -> tuple[int, ...]:
        return self.model.mirror_axes if options.mirror else ()

    @property
    def _on_gpu(self) -> bool:
        return device_buffers(self._engine) is not None


def _log_search(search: Search) -> None:
    if search.found:
        _LOG.info(
            "%d of %d tiles were run; the spine reaches no others", search.tiles_run, len(search.plan.tiles)
        )
    else:
        _LOG.info("no row of tiles shows column and canal; all %d tiles were run", search.tiles_run)
