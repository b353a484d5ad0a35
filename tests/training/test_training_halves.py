"""The second generation's instance network and what its training draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from spineps_rt.backends import open_engine
from spineps_rt.models.resolve import load_model
from training import folders, owners, publish
from training.halves import HalfUnet, folded


def network() -> HalfUnet:
    """A network whose batch norms are far from the identity."""
    torch.manual_seed(2)
    made = HalfUnet()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made.eval()


def test_folding_batch_norm_changes_nothing():
    made, one_hot = network(), torch.rand(1, folders.CHANNELS, 32, 16, 8)
    with torch.inference_mode():
        assert torch.allclose(made(one_hot), folded(made)(one_hot), atol=1e-4)


def test_loss_counts_voxels_of_the_mask_only():
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 8, 8, 4)
    classes = torch.randint(0, 4, (1, 8, 8, 4))
    classes[:, :4] = -1
    other = logits.clone()
    other[:, :, :4] = torch.randn(1, 4, 4, 8, 4)
    assert float(owners.loss_of(logits, classes)[0]) == pytest.approx(
        float(owners.loss_of(other, classes)[0])
    )
    perfect = 50 * torch.nn.functional.one_hot(classes.clamp(min=0), 4).movedim(-1, 1).float()
    assert float(owners.loss_of(perfect, classes)[0]) < 0.02


def test_thick_slices_repeat_labels_and_classes_together():
    labels = torch.arange(40, dtype=torch.uint8).expand(2, 3, 40)
    rng = np.random.default_rng(4)
    for _ in range(8):
        found, classes = owners.thicker(labels, labels + 1, rng)
        assert (classes == found + 1).all()
        assert (torch.diff(found[0, 0].int()) >= 0).all()
        assert int((found[0, 0].int() - torch.arange(40)).abs().max()) < owners.THICK[1]


def test_the_published_network_says_nothing_beyond_the_mask(tmp_path: Path):
    publish.release_instance(network().state_dict(), tmp_path / "model")
    model = load_model(tmp_path / "model")
    labels = np.zeros((1, 1, *folders.CUTOUT), np.uint8)
    labels[0, 0, 40:120, 30:100, 10:30] = 9
    with open_engine(model) as engine:
        classes = engine.infer(labels)
    assert classes.shape == (1, *folders.CUTOUT)
    assert not classes[labels[0] == 0].any()
    assert classes.any()
    assert classes.max() < 4
