"""Volume in, Result out: the stages in SPINEPS 2.1.3's order, each timed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from spineps_rt.backends import Engine, open_engine
from spineps_rt.errors import NoSpineError
from spineps_rt.inference.predictors import on_device, predict_cutouts, predict_semantic, predict_windows
from spineps_rt.labels import CORPUS, CORPUS_INNER, VERTEBRAE
from spineps_rt.models import InstanceModel, ModelPair, SemanticModel, resolve_models
from spineps_rt.models.spacing import target_spacing
from spineps_rt.options import Options
from spineps_rt.overlap import Steps, complete, overlap
from spineps_rt.results import Network, Result
from spineps_rt.scan import check_scan, doubts_about, read_scan
from spineps_rt.stages.instance.segment import InstanceLimits, segment_instances
from spineps_rt.stages.labeling import Levels, name_levels
from spineps_rt.stages.points import centroids, volumes_in_ml
from spineps_rt.stages.preprocess import preprocess, round_whole
from spineps_rt.stages.reconcile.reconcile import Reconciled, reconcile
from spineps_rt.stages.semantic_cleaning import clean
from spineps_rt.timing import Clock, Progress
from spineps_rt.volume import Box, Volume, reorient, resample_to, rescale

_LOG = logging.getLogger(__name__)
_STAGE_ORIENTATION = ("P", "I", "R")


def segment(
    scan: Volume | str | Path,
    *,
    model: str | Path | ModelPair | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Result:
    """Segment one scan. For several, a :class:`Pipeline` loads the models once.

    Args:
        scan: A NIfTI file, or a volume in memory, any orientation.
        model: Embedded model's name, model folder, or a pair; None takes the embedded models.
        options: What differs from the defaults.
        progress: Called as the stages advance.

    Returns:
        Masks on the scan's own grid, points, volumes, timings.

    Raises:
        SpinepsError: The subclass says what is wrong with the scan, the model or the engine.
    """
    with Pipeline(model, options=options) as pipeline:
        return pipeline.run(scan, progress=progress)


class Pipeline:
    """Models loaded once, for any number of scans; a context manager."""

    def __init__(
        self, model: str | Path | ModelPair | None = None, *, options: Options | None = None
    ) -> None:
        """Load and verify the models and open their engines.

        Args:
            model: Embedded model's name, model folder, or a pair; None takes the embedded models.
            options: What differs from the defaults.

        Raises:
            ModelError: A model is missing or damaged.
            EngineError: The device cannot be had.
        """
        self.options = options or Options()
        self.models = model if isinstance(model, ModelPair) else resolve_models(model)
        wanted = self.options.engine
        with ExitStack() as stack:
            self._semantic, self._instance = (
                stack.enter_context(open_engine(m, device=wanted.device, threads=wanted.threads))
                for m in (self.models.semantic, self.models.instance)
            )
            self._stack = stack.pop_all()
        for engine in (self._semantic, self._instance):
            _LOG.info("%s runs on %s (%s)", engine.model.name, engine.provider, engine.model.folder)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the engines' memory back."""
        self._stack.close()

    @property
    def provider(self) -> str:
        """What really runs the networks; both where they differ."""
        return " and ".join(dict.fromkeys((self._semantic.provider, self._instance.provider)))

    def run(self, scan: Volume | str | Path, *, progress: Progress | None = None) -> Result:
        """Segment a scan.

        Args:
            scan: A NIfTI file, or a volume in memory, any orientation.
            progress: Called as the stages advance.

        Returns:
            The result; nothing is written.

        Raises:
            SpinepsError: The subclass says what is wrong.
        """
        return complete(self.steps(scan, progress=progress))

    def run_many(self, scans: Iterable[Volume | str | Path]) -> Iterator[Future[Result]]:
        """Segment several scans; reading and finishing of one overlap the networks of another.

        Args:
            scans: As :meth:`run` takes them.

        Yields:
            A future for each scan, in order, done; its ``result()`` returns or raises what :meth:`run` would.
        """
        return overlap(self.steps(scan) for scan in scans)

    def steps(self, scan: Volume | str | Path, *, progress: Progress | None = None) -> Steps[Result]:
        """As :meth:`run`, in three parts: it pauses before the networks and after them.

        A part may be taken by any thread, two runs' second parts by one thread only: the engines are shared.

        Args:
            scan: As :meth:`run` takes it.
            progress: Called as the stages advance, by the thread that takes the part.

        Returns:
            What :func:`spineps_rt.overlap.overlap` and ``yield from`` take.
        """
        clock = Clock(progress)
        with clock.stage("read"):
            image, source = read_scan(scan)
            check_scan(image, self.models.semantic, any_plane=self.options.any_plane)
        with clock.stage("preprocess"):
            prepared, box = self._prepare(image)
        yield
        engines = (self._semantic, self._instance)
        before = [(engine.samples, engine.planned, engine.seconds) for engine in engines]
        with clock.stage("semantic"):
            mask = prepared.with_array(self._label(prepared, box, clock))
            del prepared  # a large image is not needed any more
            self._semantic.rest()
        with clock.stage("clean"):
            mask = reorient(mask, _STAGE_ORIENTATION)
            mask = mask.with_array(clean(mask.array, spacing=mask.spacing, options=self.options.semantic))
        instances, warnings = self._predict_instances(mask, clock)
        networks = tuple(_network(engine, *counted) for engine, counted in zip(engines, before))
        yield
        with clock.stage("resample"):
            masks = [resample_to(m, image, labels=True).array for m in (_one_body(mask), instances)]
            del mask, instances
        levels, notes = self._levels(masks, image, clock)
        with clock.stage("points"):
            centres = centroids(levels.semantic, levels.instances)
            volumes = [volumes_in_ml(mask, image.affine) for mask in (levels.instances, levels.semantic)]
        return Result(
            image=image,
            semantic=image.with_array(levels.semantic),
            instances=image.with_array(levels.instances),
            centroids=centres,
            volumes=volumes[0],
            structure_volumes=volumes[1],
            warnings=(*doubts_about(source.name, self.models.semantic), *warnings, *notes),
            anatomical=levels.anatomical,
            stages=tuple(clock.stages),
            networks=networks,
            source=source,
            options=self.options,
        )

    def _prepare(self, image: Volume) -> tuple[Volume, Box]:
        """The scan in the model's orientation and spacing, and the box in it that the network is shown."""
        model = self.models.semantic
        padded = reorient(preprocess(image, self.options.preprocess), model.orientation)
        prepared = rescale(padded, target_spacing(model, padded.spacing), labels=False)
        round_whole(prepared)
        margin = self.options.preprocess.pad if self.options.semantic.skip_margin else 0
        return prepared, _inside(padded, prepared, margin)

    def _label(self, prepared: Volume, box: Box, clock: Clock) -> np.ndarray:
        """What the semantic network says within the box, uint8; overwrites the image."""
        answer = np.zeros(prepared.shape, np.uint8)
        answer[box] = predict_semantic(
            prepared.array[box],
            self._semantic,
            options=self.options.semantic,
            overwrite=True,
            progress=clock.fraction,
        )
        return answer

    def _classify(self, cutouts: np.ndarray) -> np.ndarray:
        """What the instance network says to cutouts, uint8 (N, P, I, R)."""
        return predict_cutouts(self._instance, cutouts)

    def _predict_instances(self, semantic: Volume, clock: Clock) -> tuple[Volume, tuple[str, ...]]:
        """Vertebra mask, uint16, in PIR at the instance model's spacing, and what the stage has to say."""
        model = self.models.instance
        windows = partial(predict_windows, self._instance)
        with clock.stage("instance"):
            mask = rescale(semantic, target_spacing(model, semantic.spacing), labels=True)
            answer = segment_instances(
                mask.array,
                spacing=mask.spacing,
                predict=self._classify,
                predict_windows=windows if on_device(self._instance) else None,
                limits=_limits(model),
                options=self.options.instance,
            )
            self._instance.rest()
        return mask.with_array(answer.instances), answer.warnings

    def _levels(self, masks: list[np.ndarray], image: Volume, clock: Clock) -> tuple[Levels, tuple[str, ...]]:
        """Both final masks, levels named, and what there is to say about them."""
        with clock.stage("reconcile"):
            final = self._reconcile(masks, image)
        with clock.stage("labeling"):
            levels = name_levels(
                final.semantic, final.instances, affine=image.affine, options=self.options.labeling
            )
        return levels, (*final.warnings, *levels.warnings)

    def _reconcile(self, masks: list[np.ndarray], image: Volume) -> Reconciled:
        """Both final masks; empties the list, so that the masks that came take no memory meanwhile."""
        final = reconcile(
            masks.pop(0),
            masks.pop(0),
            spacing=image.spacing,
            orientation=image.orientation,
            options=self.options.reconcile,
            sacrum_ids=self.models.semantic.sacrum_ids,
        )
        if not np.isin(final.instances, list(VERTEBRAE)).any():
            raise NoSpineError("no vertebra is left after cleaning; check that the scan shows a spine.")
        return final


def _one_body(semantic: Volume) -> Volume:
    """Merge the two kinds of body that SPINEPS knows until here; only the networks tell them apart."""
    return semantic.with_array(np.where(semantic.array == CORPUS_INNER, CORPUS, semantic.array))


def _inside(padded: Volume, prepared: Volume, margin: int) -> Box:
    """The voxels of the resampled volume that lie within the padded one's margin of ``margin`` voxels."""
    if not margin:
        return tuple(slice(0, n) for n in prepared.shape)
    ratio = np.array(padded.spacing) / prepared.spacing
    first = np.floor(margin * ratio).astype(int)
    stop = np.ceil((np.array(padded.shape) - 1 - margin) * ratio).astype(int) + 1
    return tuple(slice(a, min(b, n)) for a, b, n in zip(first, stop, prepared.shape))


def _limits(model: InstanceModel) -> InstanceLimits:
    least = model.spacing or (model.spacing_range[0] if model.spacing_range else None)
    return InstanceLimits(
        cutout=model.cutout,
        mapping=model.mapping,
        spacing=least,
        corpus_size_cleaning=model.corpus_size_cleaning,
        vert_size_threshold=model.vert_size_threshold,
    )


def _network(engine: Engine, samples: int, planned: int, seconds: float) -> Network:
    """What an engine has run since these were its counts."""
    model = engine.model
    kind = "semantic" if isinstance(model, SemanticModel) else "instance"
    counts = engine.samples - samples, engine.planned - planned, round(engine.seconds - seconds, 6)
    return Network(kind, model.name, model.sha256, engine.provider, *counts)
