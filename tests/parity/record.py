"""Record what SPINEPS 2.1.3 itself answers: the files in tests/golden.

Needs an environment of its own, because SPINEPS needs PyTorch:

    pip install spineps==2.1.3 && pip uninstall -y torchvision && pip install -e .
    python -m tests.parity.record all tests/golden

SPINEPS's two networks are replaced by oracles that answer from a phantom's truth, with the faults that
networks make; everything else is SPINEPS's own code. ``scan`` records any other phantom as a folder for
``python -m tests.parity.check``.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np
import spineps.seg_run
from spineps.phase_post import phase_postprocess_combined
from spineps.seg_enums import OutputType
from spineps.seg_model import SegmentationModel
from spineps.utils.seg_modelconfig import Segmentation_Inference_Config
from TPTBox import BIDS_FILE, NII, No_Logger

from spineps_rt import labels
from spineps_rt.options import ReconcileOptions
from spineps_rt.phantom import PhantomOptions, Variants, make_phantom
from spineps_rt.volume import Volume, reorient, rescale
from tests.parity import golden, odd_columns

MODEL_SPACING = (0.75, 0.75, 1.65)
CONTRACT = {
    "acquisition": "sag",
    "model_expected_orientation": ("P", "I", "R"),
    "available_folds": 1,
    "inference_augmentation": False,
    "resolution_range": MODEL_SPACING,
    "default_step_size": 0.5,
    "logger": No_Logger(),
    "log_name": "oracle",
}


@dataclass(frozen=True)
class Scan:
    """A phantom, and how its scan and the networks' answers are spoiled."""

    levels: tuple[str, str]
    spacing: tuple[float, float, float]
    """mm of the scan along P, I, R."""
    orientation: str
    seed: int
    variants: Variants = field(default_factory=Variants)
    unseen: tuple[int, ...] = ()
    """Vertebrae whose body and instance no network sees."""


SCANS = {
    "cervical": Scan(("C3", "C6"), (1.4, 1.4, 3.5), "LAS", 5, unseen=(5,)),
    "thoracic": Scan(("T6", "T8"), (1.5, 1.2, 4.0), "PIR", 6, Variants(fused=("T6",), scoliosis_deg=6.0)),
    "lumbar": Scan(("L3", "L5"), (1.4, 1.4, 5.0), "RPS", 7, Variants(missing_discs=("L4",))),
    "long": Scan(("T1", "L1"), (1.5, 1.5, 4.0), "ASL", 8),
    "ties": Scan(("T6", "T8"), (1.125, 0.9375, 4.0), "RPS", 13),
}
"""The scans of tests/golden; in ``ties`` half of the voxels lie halfway between two of the model's grid."""
GRID = ("direction", "zoom", "origin", "rotation", "shape", "format", "level_one_info", "level_two_info")
"""What SPINEPS's file of centres says of the grid."""


class Semantic(SegmentationModel):
    """Answers with a mask that was made beforehand."""

    def bind(self, answer: NII, folder: Path) -> Semantic:
        self.answer, self.folder = answer, folder
        return self

    def load(self, folds: Any = None) -> Semantic:
        self.predictor = object()
        return self

    def run(self, input_nii: list[NII], verbose: bool = False) -> dict[OutputType, NII | None]:
        found = self.answer.resample_from_to(input_nii[0], verbose=verbose).get_seg_array()
        # on the image's own affine, as SPINEPS's network answers; TPTBox rounds that of what it resamples
        answer = input_nii[0].set_array(found.astype(np.uint8), seg=True)
        answer.save(self.folder / "oracle_sem.nii.gz", verbose=False)
        return {OutputType.seg: answer, OutputType.softmax_logits: None}


class Instance(Semantic):
    """Answers every cutout from the truth, and remembers both."""

    def run(self, input_nii: list[NII], verbose: bool = False) -> dict[OutputType, NII]:
        if not hasattr(self, "seen"):
            self.seen: list[tuple[np.ndarray, np.ndarray]] = []
        cutout = input_nii[0].get_seg_array().astype(np.uint8)
        truth = self.answer.resample_from_to(input_nii[0], verbose=verbose).get_seg_array()
        self.seen.append((cutout, _three(truth, cutout, len(self.seen))))
        return {OutputType.seg: input_nii[0].set_array(self.seen[-1][1])}

    def save(self) -> None:
        """Write what was shown and answered."""
        cuts, preds = (np.array(part) for part in zip(*self.seen))
        np.savez_compressed(self.folder / "cuts.npz", cuts=cuts, preds=preds)


def _three(truth: np.ndarray, cutout: np.ndarray, seed: int) -> np.ndarray:
    """Name the middle vertebra 2, its neighbours 1 and 3; forget some voxels, at times a neighbour."""
    rng = np.random.default_rng(seed)
    middle = tuple(slice(side // 2 - 8, side // 2 + 8) for side in truth.shape)
    near = np.bincount(truth[middle].ravel(), minlength=2)
    near[0] = 0
    centre = int(near.argmax())
    answer = np.zeros(truth.shape, np.uint8)
    for value in (1, 2, 3) if rng.random() < 0.8 else (1, 2):
        answer[truth == centre + value - 2] = value
    answer[(cutout == 0) | (rng.random(truth.shape) < 0.01)] = 0
    return answer


def _answers(truth: Volume, instances: Volume, scan: Scan) -> tuple[NII, NII]:
    """The networks' answers: the truth with specks, ragged surfaces, and vertebrae that are not seen."""
    rng = np.random.default_rng(scan.seed)
    sem, inst = truth.array.copy(), np.where(instances.array < labels.SACRUM_INSTANCE, instances.array, 0)
    gone = np.isin(inst, scan.unseen)
    sem[gone], inst[gone] = 0, 0
    for _ in range(20):
        corner = [int(rng.integers(0, side - 4)) for side in sem.shape]
        sem[tuple(slice(a, a + 3) for a in corner)] = rng.choice([41, 42, 49, 61, 62, 100])
    sem[(rng.random(sem.shape) < 0.01) & (sem != labels.SACRUM)] = 0
    return tuple(NII(nib.Nifti1Image(a, truth.affine), True) for a in (sem, inst.astype(np.uint16)))


def oracles(semantic: NII, instances: NII, folder: Path) -> tuple[Semantic, Instance]:
    """Both networks, answering from masks; what they answer first is kept in the folder."""
    classes = {str(label): str(label) for label in (*labels.STRUCTURES,)}
    first = Segmentation_Inference_Config(modality=["T2w"], modeltype="nnunet", labels=classes, **CONTRACT)
    second = Segmentation_Inference_Config(
        modality=["SEG"],
        modeltype="unet",
        labels={v: v for v in "123"},
        expected_inputs=["seg"],
        **CONTRACT,
    )
    kinds = ((Semantic, first, semantic), (Instance, second, instances))
    both = [kind(__file__, config).bind(answer, folder) for kind, config, answer in kinds]
    return both[0], both[1]


def run(path: Path, networks: tuple[Semantic, Instance], *, bias_field: bool) -> Any:
    """Run SPINEPS on a file; its results lie in ``derivatives_seg`` beside the file's folder."""
    _, code = spineps.seg_run.segment_image(
        BIDS_FILE(path, path.parent),
        *networks,
        auto_crop_to_spine=False,
        proc_sem_n4_bias_correction=bias_field,
        ignore_compatibility_issues=True,
    )
    return code


def record(scan: Scan, folder: Path) -> golden.Golden:
    """Run SPINEPS on a phantom.

    Args:
        scan: The phantom.
        folder: Where SPINEPS's files, the oracles' answers and the cutouts go.
    """
    made = make_phantom(
        PhantomOptions(scan.levels, spacing=MODEL_SPACING, variants=scan.variants), seed=scan.seed
    )
    image = reorient(rescale(made.image, scan.spacing, labels=False), scan.orientation)
    raw = folder / "rawdata"
    raw.mkdir(parents=True, exist_ok=True)
    path = raw / "sub-phantom_T2w.nii.gz"
    nib.save(nib.Nifti1Image(np.rint(image.array).astype(np.int16), image.affine), path)
    networks = oracles(*_answers(made.semantic, made.instance, scan), folder)
    code = run(path, networks, bias_field=False)
    click.echo(f"{folder.name}: SPINEPS says {code}")
    networks[1].save()
    return golden.read(folder)


def record_rules(path: Path) -> None:
    """Let SPINEPS reconcile every odd column, and write inputs and answers into one file."""
    arrays: dict[str, np.ndarray] = {}
    for seed, case in enumerate(odd_columns.CASES):
        sem, inst = odd_columns.build(case, seed)
        axes = reorient(Volume(np.zeros((1, 1, 1)), np.eye(4)), tuple(case.codes)).affine.copy()
        axes[:3, :3] *= odd_columns.spacing(case)
        both = [NII(nib.Nifti1Image(array.copy(), axes), True) for array in (sem, inst)]
        final = phase_postprocess_combined(
            img_nii=both[0].copy(),
            seg_nii=both[0],
            vert_nii=both[1],
            model_labeling=None,
            debug_data=None,
            labeling_offset=ReconcileOptions().first_vertebra - 1,
        )
        names = ("given_semantic", "given_instances", "semantic", "instances")
        answers = (final[0].get_seg_array().astype(np.uint8), final[1].get_seg_array().astype(np.uint16))
        for name, array in zip(names, (sem, inst, *answers)):
            arrays[f"{case.name}/{name}"] = array
    np.savez_compressed(path, **arrays)


def record_centres(folder: Path, path: Path) -> None:
    """Keep the grid and the points of the file of centres that SPINEPS wrote into a folder."""
    head, points = json.loads(next(folder.rglob("*_ctd.json")).read_text(encoding="utf-8"))
    text = json.dumps([{key: head[key] for key in GRID}, points], indent=1)
    path.write_text(text + "\n", encoding="utf-8")


@click.group()
def main() -> None:
    """Record answers of SPINEPS 2.1.3."""


@main.command(name="all")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def everything(folder: Path) -> None:
    """Record the files of tests/golden anew into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    record_rules(folder / "rules.npz")
    for name, scan in SCANS.items():
        with tempfile.TemporaryDirectory() as work:
            golden.pack(record(scan, Path(work) / name), folder / f"{name}.npz")
            if name == "ties":
                record_centres(Path(work), folder / "ties_ctd.json")


@main.command(name="scan")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--levels", nargs=2, default=("T11", "L5"), show_default=True)
@click.option("--spacing", nargs=3, type=float, default=(0.9, 0.9, 3.3), show_default=True)
@click.option("--orientation", default="PIR", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--unseen", multiple=True, type=int, help="Id of a vertebra that no network sees.")
def one(folder: Path, **what: Any) -> None:
    """Record another phantom into FOLDER."""
    record(Scan(**what), folder)


if __name__ == "__main__":
    main()
