"""Volume in, Result out: the stages in SPINEPS 2.1.3's order, each timed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from spineps_rt.errors import ContractError
from spineps_rt.geometry import shifted
from spineps_rt.inference.networks import open_predictors
from spineps_rt.inference.predictors import Predictors, RunStats
from spineps_rt.kernels.boxes import Box
from spineps_rt.labels import CORPUS, CORPUS_INNER
from spineps_rt.levels import finish_masks
from spineps_rt.models import InstanceModel, Model, ModelPair, resolve_models
from spineps_rt.models.spacing import target_spacing
from spineps_rt.options import Options
from spineps_rt.overlap import ThreeStages
from spineps_rt.quality.judge import judge
from spineps_rt.quality.networks import MarginTable, NetworkEvidence, seen_together
from spineps_rt.results import Network, Predicted, Prepared, Result, place_names
from spineps_rt.scan import check_scan, modality_warnings, read_scan
from spineps_rt.stages.instance.segment import InstanceAnswer, InstanceLimits, segment_instances
from spineps_rt.stages.points import centroids, volumes_in_ml
from spineps_rt.stages.preprocess import box_within_margin, preprocess, round_whole
from spineps_rt.stages.semantic_cleaning import clean
from spineps_rt.timing import Clock, Progress
from spineps_rt.volume import Volume, reorient, resample_to, rescale

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
        self,
        model: str | Path | ModelPair | None = None,
        *,
        options: Options | None = None,
        predictors: Predictors | None = None,
    ) -> None:
        """Load and verify the models and open their engines.

        Args:
            model: Embedded model's name, model folder, or a pair; None takes the embedded models.
            options: What differs from the defaults.
            predictors: Networks of one's own, in place of a model; they stay the caller's to close.

        Raises:
            ContractError: Both a model and predictors came.
            ModelError: A model is missing or damaged.
            EngineError: The device cannot be had.
        """
        if model is not None and predictors is not None:
            raise ContractError(
                "A model and predictors came; pass one of them, predictors bring their models."
            )
        self.options = options or Options()
        self._opened: Predictors | None = None
        if predictors is None:
            models = model if isinstance(model, ModelPair) else resolve_models(model)
            predictors = self._opened = open_predictors(models, self.options.engine)
        self.predictors = predictors
        for one in (predictors.semantic, predictors.instance):
            _LOG.info("%s runs on %s (%s)", one.model.name, one.provider, one.model.folder)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory of the engines that were opened here back."""
        if self._opened:
            self._opened.close()

    @property
    def models(self) -> ModelPair:
        """What the networks are."""
        return ModelPair(self.predictors.semantic.model, self.predictors.instance.model)

    @property
    def provider(self) -> str:
        """What really runs the networks; both where they differ."""
        return self.predictors.provider

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
        return self.finish(self.predict(self.prepare(scan, progress=progress)))

    def run_many(self, scans: Iterable[Volume | str | Path]) -> Iterator[Future[Result]]:
        """Segment several scans; reading and finishing of one overlap the networks of another.

        Args:
            scans: As :meth:`run` takes them.

        Yields:
            A future for each scan, in order, done; its ``result()`` returns or raises what :meth:`run` would.
        """
        return ThreeStages(self.prepare, self.predict, self.finish).overlap(scans)

    def prepare(self, scan: Volume | str | Path, *, progress: Progress | None = None) -> Prepared:
        """Do what comes before the networks: read, check, preprocess.

        Args:
            scan: As :meth:`run` takes it.
            progress: Called as the stages advance, by the thread that is in them.

        Returns:
            What :meth:`predict` takes.

        Raises:
            SpinepsError: The scan cannot be read or segmented.
        """
        model = self.predictors.semantic.model
        clock = Clock(progress)
        with clock.stage("read"):
            image, source = read_scan(scan)
            check_scan(image, model, any_plane=self.options.any_plane)
        with clock.stage("preprocess"):
            padded = reorient(preprocess(image, self.options.preprocess), model.orientation)
            shown = rescale(padded, target_spacing(model, padded.spacing), labels=False)
            round_whole(shown)
            margin = self.options.preprocess.pad if self.options.semantic.skip_margin else 0
            box = box_within_margin(padded, shown, margin)
        return Prepared(image, source, clock, [shown], box)

    def predict(self, prepared: Prepared) -> Predicted:
        """Run both networks; never two scans at once, because they share them.

        Args:
            prepared: From :meth:`prepare`; it is used up.

        Returns:
            What :meth:`finish` takes.

        Raises:
            SpinepsError: A network failed, or there is no spine.
        """
        clock = prepared.clock
        with clock.stage("semantic"):
            shown = prepared.network_input.pop()
            grid, start = shown.affine, [part.start for part in prepared.box]
            mask, semantic_stats = self._classify(shown, prepared.box, clock)
            del shown
        with clock.stage("clean"):
            mask = reorient(mask, _STAGE_ORIENTATION)
            mask = mask.with_array(clean(mask.array, spacing=mask.spacing, options=self.options.semantic))
        with clock.stage("instance"):
            instances, answer, instance_stats = self._separate(mask)
        networks = (
            _network("semantic", self.predictors.semantic.model, semantic_stats),
            _network("instance", self.predictors.instance.model, instance_stats),
        )
        masks = [_one_body(mask), instances]
        rows, to_voxels = semantic_stats.margins, np.linalg.inv(shifted(grid, start))
        margins = MarginTable(rows.labels, rows.table, to_voxels[rows.axis]) if rows else None
        evidence = NetworkEvidence(margins, seen_together(answer.agreements, instances.affine))
        return Predicted(prepared.image, prepared.source, clock, masks, answer.warnings, networks, evidence)

    def finish(self, predicted: Predicted) -> Result:
        """Do what comes after the networks: bring the masks back, reconcile them, name levels, measure.

        Args:
            predicted: From :meth:`predict`; it is used up.

        Returns:
            The result; nothing is written.

        Raises:
            NoSpineError: No vertebra is left.
        """
        image, clock = predicted.image, predicted.clock
        with clock.stage("resample"):
            masks = [resample_to(predicted.masks.pop(0), image, labels=True).array for _ in range(2)]
        model = self.predictors.semantic.model
        done = finish_masks(masks, image, options=self.options, sacrum_ids=model.sacrum_ids, clock=clock)
        levels = done.levels
        with clock.stage("points"):
            centres = centroids(levels.semantic, levels.instances)
            volumes = [volumes_in_ml(mask, image.affine) for mask in (levels.instances, levels.semantic)]
        doubts = modality_warnings(predicted.source.name, model)
        with clock.stage("quality"):
            quality = judge(
                image,
                (levels.semantic, levels.instances),
                names=place_names(volumes[0], anatomical=levels.anatomical),
                evidence=predicted.evidence,
                removed=done.removed,
                model=model.name,
            )
        return Result(
            image=image,
            semantic=image.with_array(levels.semantic),
            instances=image.with_array(levels.instances),
            centroids=centres,
            volumes=volumes[0],
            structure_volumes=volumes[1],
            warnings=(*doubts, *predicted.warnings, *done.warnings),
            quality=quality,
            anatomical=levels.anatomical,
            stages=tuple(clock.stages),
            networks=predicted.networks,
            source=predicted.source,
            options=self.options,
        )

    def _classify(self, shown: Volume, box: Box, clock: Clock) -> tuple[Volume, RunStats]:
        """What the semantic network says within the box, uint8; overwrites the image."""
        answer = np.zeros(shown.shape, np.uint8)
        answer[box], stats = self.predictors.semantic.classify(
            shown.array[box], self.options.semantic, overwrite=True, progress=clock.fraction
        )
        return shown.with_array(answer), stats

    def _separate(self, semantic: Volume) -> tuple[Volume, InstanceAnswer, RunStats]:
        """Vertebra mask, uint16, in PIR at the instance model's spacing; all that was found; what was run."""
        model = self.predictors.instance.model
        stats: list[RunStats] = []

        def classify(*mask_and_windows: np.ndarray) -> Iterator[np.ndarray]:
            stats.append((yield from self.predictors.instance.classify_windows(*mask_and_windows)))

        mask = rescale(semantic, target_spacing(model, semantic.spacing), labels=True)
        answer = segment_instances(
            mask.array,
            spacing=mask.spacing,
            classify=classify,
            limits=_limits(model),
            options=self.options.instance,
        )
        return mask.with_array(answer.instances), answer, stats[0]


def _one_body(semantic: Volume) -> Volume:
    """Merge the two kinds of body that SPINEPS knows until here; only the networks tell them apart."""
    return semantic.with_array(np.where(semantic.array == CORPUS_INNER, CORPUS, semantic.array))


def _limits(model: InstanceModel) -> InstanceLimits:
    least = model.spacing or (model.spacing_range[0] if model.spacing_range else None)
    return InstanceLimits(
        cutout=model.cutout,
        mapping=model.mapping,
        spacing=least,
        corpus_size_cleaning=model.corpus_size_cleaning,
        vert_size_threshold=model.vert_size_threshold,
    )


def _network(kind: str, model: Model, stats: RunStats) -> Network:
    seconds = round(stats.seconds, 6)
    return Network(kind, model.name, model.sha256, stats.provider, stats.samples, stats.planned, seconds)
