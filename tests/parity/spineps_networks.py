"""Model folders made with SPINEPS's own classes, and what SPINEPS answers with them.

Run by the Python of an environment that holds SPINEPS 2.1.3, from ``tests.parity.networks``. Every
architecture of its published models is built by its own code and initialised at random. Random weights leave
the logits of most voxels nearly equal, and then the last bit decides, so that a comparison would say nothing;
therefore each network is trained on a phantom for some seconds. SPINEPS then answers with ``segment_scan``
and ``run_batch``: as it is, and once more with its sums of tiles in float32 instead of float16.
"""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import click
import nibabel as nib
import numpy as np
import pytorch_lightning as pl
import torch
from spineps.architectures.pl_unet import PLNet
from spineps.architectures_new.pl_unet import PLNet as PLNetNew
from spineps.seg_enums import OutputType
from spineps.seg_model import SegmentationModelNNunet, SegmentationModelUnet3D
from torch import nn
from TPTBox import NII, to_nii
from TPTBox.segmentation.nnUnet_utils.get_network_from_plans import get_network_from_plans
from TPTBox.segmentation.nnUnet_utils.plans_handler import PlansManager

from benchmarks.spineps_scan import sum_in_float32
from tests.parity.architectures import CASES, CLASSES, CUTOUT, SPACING, Instance, Semantic, plans_of

SEMANTIC_PACE = 60, 1e-2
INSTANCE_PACE = 25, 1e-3
"""Steps and learning rate; at a larger one the instance network leaves what float16 can hold."""
BACKGROUND = 0.1
"""Weight of the background in the training's loss."""
MAPPED = 9
"""Largest label that the instance network is shown; the network of one channel divides by it."""


def train(
    network: nn.Module,
    images: torch.Tensor,
    classes: torch.Tensor,
    *,
    seed: int,
    patch: Any,
    pace: tuple[int, float] = SEMANTIC_PACE,
) -> None:
    """Train a network on random patches until its classes are decided; (N, C, ...) and (N, ...)."""
    torch.set_num_threads(1)  # small patches: more threads only wait for each other
    draw, spots = np.random.default_rng(seed), np.argwhere(classes.numpy() > 0)
    weights = torch.tensor([BACKGROUND, *[1.0] * int(classes.max())])
    optimiser = torch.optim.Adam(network.parameters(), lr=pace[1])
    for _ in range(pace[0]):
        n, *centre = spots[int(draw.integers(len(spots)))]
        starts = [
            int(np.clip(at - want // 2, 0, have - want))
            for at, want, have in zip(centre, patch, classes.shape[1:])
        ]
        window = tuple(slice(a, a + want) for a, want in zip(starts, patch))
        answer = network(images[n : n + 1][(slice(None), slice(None), *window)])
        loss = nn.functional.cross_entropy(answer, classes[n : n + 1][(slice(None), *window)], weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def write_semantic(case: Semantic, folder: Path, given: dict[str, np.ndarray]) -> None:
    """Write plans, data set, configuration and one checkpoint a fold."""
    plans = plans_of(case)
    names = {"background": 0, **{f"class {i}": i for i in CLASSES}}
    dataset = {"channel_names": {"0": "T2w"}, "labels": names, "file_ending": ".nii.gz"}
    manager = PlansManager(plans)
    configuration = manager.get_configuration("3d_fullres")
    order = plans["transpose_forward"]
    images, classes = (torch.from_numpy(given[k].transpose(order).copy()) for k in ("image", "classes"))
    for seed, fold in enumerate(case.folds):
        torch.manual_seed(seed)
        network = get_network_from_plans(
            manager, dataset, configuration, 1, num_output_channels=len(names), deep_supervision=False
        )
        train(network, images[None, None], classes[None].long(), seed=seed, patch=configuration.patch_size)
        checkpoint = {
            "network_weights": network.state_dict(),
            "init_args": {"configuration": "3d_fullres", "fold": fold},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": (0, 1, 2),
            "logging": {"mean_fg_dice": [np.float64(0.5)]},
        }
        (folder / f"fold_{fold}").mkdir(parents=True)
        torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    folds = {"available_folds": "all"} if case.folds == ("all",) else {"available_folds": len(case.folds)}
    labels = {str(k): str(v) for k, v in CLASSES.items()}
    _configure(folder, modality=["T2w"], modeltype="nnunet", expected_inputs=["img"], labels=labels, **folds)


def write_instance(case: Instance, folder: Path, given: dict[str, np.ndarray]) -> None:
    """Write a checkpoint as Lightning does, and its configuration."""
    torch.manual_seed(case.channels)
    hyper = Namespace(n_epoch=1, lr=1e-3, lr_end_factor=0.01, l2_reg_w=1e-4, dsc_loss_w=1.0)
    hyper.channelwise = case.channels > 1
    model = PLNet(hyper) if case.width == 16 else PLNetNew(hyper, num_channels=case.channels, dim=case.width)
    labels = torch.from_numpy(given["cutouts"]).long()
    images = labels[:, None] / MAPPED
    if case.channels > 1:
        images = nn.functional.one_hot(labels, case.channels).permute(0, 4, 1, 2, 3).float()
    train(
        model.network,
        images,
        torch.from_numpy(given["truth"]).long(),
        seed=1,
        patch=CUTOUT,
        pace=INSTANCE_PACE,
    )
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(model)
    folder.mkdir(parents=True)
    trainer.save_checkpoint(folder / "instance_weights.ckpt")
    _configure(
        folder,
        modality=["SEG"],
        modeltype="unet",
        expected_inputs=["seg"],
        labels={v: v for v in "123"},
        available_folds=1,
        cutout_size=CUTOUT,
    )


def _configure(folder: Path, **own: Any) -> None:
    shared = {
        "log_name": folder.name,
        "acquisition": "sag",
        "model_expected_orientation": ["P", "I", "R"],
        "inference_augmentation": False,
        "resolution_range": SPACING,
        "default_step_size": 0.5,
    }
    (folder / "inference_config.json").write_text(json.dumps(shared | own))


def answer_semantic(folder: Path, scan: Path) -> dict[str, np.ndarray]:
    """Segment a scan as SPINEPS does, then with sums in float32; label maps at the model's spacing."""
    model = SegmentationModelNNunet(folder, use_cpu=True, default_allow_tqdm=False).load()
    answers = {}
    for name in ("published", "float32 sums"):
        found = model.segment_scan(to_nii(scan, False), resample_output_to_input_space=False)
        answers[name] = found[OutputType.seg].get_seg_array().astype(np.uint8)
        sum_in_float32(model.predictor)
    return answers


def answer_instance(folder: Path, cutouts: np.ndarray) -> dict[str, np.ndarray]:
    """Classify cutouts as SPINEPS does; with one channel, once more without clearing the labels."""
    model = SegmentationModelUnet3D(folder, use_cpu=True).load()
    affine = np.diag([*SPACING, 1.0])

    def run() -> np.ndarray:
        volumes = [NII(nib.Nifti1Image(cut, affine), True) for cut in cutouts]
        return np.stack(
            [r[OutputType.seg].get_seg_array().astype(np.uint8) for r in model.run_batch(volumes)]
        )

    answers = {"published": run()}
    if model.predictor.network.channels == 1:
        model._network_input_from_nii = lambda nii, _: torch.from_numpy(nii.get_seg_array() / MAPPED).float()[
            None
        ]
        answers["labels kept"] = run()
    return answers


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("numbers", nargs=-1, type=int)
def main(folder: Path, numbers: tuple[int, ...]) -> None:
    """Make models (all, or those of these NUMBERS) in FOLDER, where scan.nii.gz and given.npz lie; answer."""
    given = dict(np.load(folder / "given.npz"))
    for number, case in enumerate(CASES):
        place, answer = folder / f"model-{number}", folder / f"answers-{number}.npz"
        if answer.exists() or (numbers and number not in numbers):
            continue
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(case, Semantic):
            write_semantic(case, place, given)
            answers = answer_semantic(place, folder / "scan.nii.gz")
        else:
            write_instance(case, place, given)
            answers = answer_instance(place, given["cutouts"])
        np.savez_compressed(answer, **answers)


if __name__ == "__main__":
    main()
