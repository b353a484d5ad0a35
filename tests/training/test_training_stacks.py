"""The second generation's training: stacks of slices, their loss, a tiny run, and the folded network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from click.testing import CliRunner

from spineps_rt.backends import open_engine
from spineps_rt.models.resolve import load_model
from spineps_rt.models.spacing import target_spacing
from training import losses, pack, plans, pseudo, publish, sagittal, samples, spider, stacks
from training.folded import Tile
from training.network import SliceUnet, neighbours

CPU = torch.device("cpu")


def network(seed: int = 3) -> SliceUnet:
    """A network whose batch norms are far from the identity."""
    torch.manual_seed(seed)
    made = SliceUnet(plans.CLASSES)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    return made.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A patient of fine slices, a phantom and a single slice."""
    made = tmp_path / "samples"
    made.mkdir()
    rng = np.random.default_rng(0)
    for name, slices_, mm in (("patient-1", 8, 0.9), ("phantom-000", 6, 1.8), ("slice-5", 1, 4.0)):
        codes = np.full((slices_, 90, 70), spider.BACKGROUND, np.uint8)
        codes[:, 30:60, 20:40] = spider.CORPUS
        codes[:, 30:60, 45:55] = spider.EXACT + spider.CLASS[43]
        image = 40 * (codes != spider.BACKGROUND) + rng.integers(1, 20, codes.shape)
        samples.write(made / f"{name}.npz", image, codes, (mm, 0.9375, 0.9375))
    return made


def test_scans_of_one_stack_do_not_see_each_other():
    made = network()
    image = torch.randn(5, 1, 32, 32)
    with torch.inference_mode():
        together = made(image, neighbours([3, 2]))
        apart = torch.cat([made(image[:3], neighbours([3])), made(image[3:], neighbours([2]))])
    assert torch.allclose(together, apart, atol=1e-5)


def test_a_single_slice_is_the_same_as_that_slice_repeated():
    made = network()
    image = torch.randn(1, 1, 32, 32)
    with torch.inference_mode():
        slab = made(image.repeat(4, 1, 1, 1), neighbours([4]))
        single = made(image, neighbours([1]))
    assert torch.allclose(slab, single.expand_as(slab), atol=1e-5)


def test_folding_batch_norm_changes_the_order_of_sums_only():
    made = network()
    tile = torch.randn(1, 1, 4, 64, 32)
    with torch.inference_mode():
        wanted = made(tile[0, 0][:, None], neighbours([4]))
        found = Tile(made)(tile)[0].transpose(0, 1)
    assert torch.allclose(found, wanted, atol=1e-4 * float(wanted.abs().max()))


def test_loss_of_a_stack_is_that_of_its_voxels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "BACKGROUND_SHARE", 1.0)
    monkeypatch.setattr(losses, "_CODE_WEIGHTS", torch.ones(len(spider.ALLOWED)))
    monkeypatch.setattr(losses, "_STACK_GROUPS", losses._GROUPS)
    torch.manual_seed(0)
    logits = torch.randn(1, plans.CLASSES, 40, 40)
    codes = torch.randint(0, len(spider.ALLOWED), (1, 40, 40)).to(torch.uint8)
    codes[:, :10] = spider.BACKGROUND
    wanted, _ = losses.partial_loss(logits[:, :, None], codes[:, None])
    found, _ = losses.stack_loss(logits, codes)
    assert float(found) == pytest.approx(float(wanted), abs=1e-4)


def test_left_and_right_change_places_with_the_slices(folder: Path):
    gallery = samples.Gallery(folder, CPU)
    left, right = (spider.EXACT + spider.CLASS[label] for label in (43, 44))
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        seen |= set(np.unique(stacks.draw(gallery, 90_000, {"patient": 1.0}, rng).codes))
    assert {left, right} <= seen


def test_a_stack_is_filled_and_new_samples_are_taken_in(folder: Path):
    gallery = samples.Gallery(folder, CPU)
    stack = stacks.draw(gallery, 300_000, sagittal.ODDS, np.random.default_rng(1))
    rows, columns = stack.codes.shape[1:]
    assert (rows, columns) in stacks.SHAPES
    assert len(stack.codes) >= 300_000 // (rows * columns)
    assert stack.image.shape == (len(stack.codes), 1, rows, columns)
    (folder / "slice-6.npz").write_bytes((folder / "slice-5.npz").read_bytes())
    assert gallery.refresh() == 1
    assert gallery.count("slice") == 2
    assert gallery.refresh() == 0


def test_a_tiny_run_learns_stops_by_the_clock_and_becomes_a_model(folder: Path, tmp_path: Path):
    file, weights = tmp_path / "run.pt", tmp_path / "weights.pt"
    common = ["--samples", str(folder), "--file", str(file)]
    run = CliRunner().invoke(
        sagittal.main,
        [*common, "--minutes", "0.05", "--voxels", "30000", "--float32"],
        catch_exceptions=False,
    )
    assert run.exit_code == 0
    assert torch.load(file, weights_only=True)["step"] > 0
    network().load_state_dict(torch.load(file, weights_only=True)["average"])
    halves = {k: v.half() if v.is_floating_point() else v for k, v in network().state_dict().items()}
    torch.save(halves, weights)
    run = CliRunner().invoke(
        publish.main, ["--weights", str(weights), "--engines", str(tmp_path)], catch_exceptions=False
    )
    assert run.exit_code == 0
    model = load_model(tmp_path / publish.NAME)
    assert target_spacing(model, (0.7, 0.7, 0.9)) == (0.9375, 0.9375, publish.ACROSS[0])
    assert target_spacing(model, (0.7, 0.7, 4.4)) == (0.9375, 0.9375, 4.4)
    tile = np.random.default_rng(0).standard_normal((1, 1, *publish.PATCH), np.float32)
    plain = SliceUnet(plans.CLASSES)
    plain.load_state_dict(halves)
    with open_engine(model) as engine, torch.inference_mode():
        found = engine.infer(tile)
        wanted = plain.eval()(torch.from_numpy(tile[0, 0][:, None]), neighbours([publish.PATCH[0]]))
    assert np.abs(found[0].swapaxes(0, 1) - wanted.numpy()).max() < 1e-3 * float(wanted.abs().max())


def test_a_pack_halves_fine_slices_and_stays_below_its_limit(folder: Path, tmp_path: Path):
    archive = tmp_path / "samples.zip"
    run = CliRunner().invoke(pack.main, [str(archive), "--samples", str(folder)], catch_exceptions=False)
    assert "3 of 3 samples" in run.output
    with zipfile.ZipFile(archive) as found:
        found.extractall(tmp_path / "there")
    taken = samples.read(tmp_path / "there" / "patient-1.npz", CPU)
    assert taken.image.shape == (4, 90, 70)
    assert taken.spacing == pytest.approx((1.8, 0.9375, 0.9375))
    assert archive.stat().st_size < pack.LIMIT


def test_pseudo_labels_keep_the_column_before_its_canal_only():
    probability = np.zeros((plans.CLASSES, 200, 160), np.float32)
    probability[0] = 0.2
    canal, body, disc = (spider.CLASS[label] for label in (61, 49, 100))
    probability[canal, 10:190, 90:104] = 1
    for top in range(12, 180, 34):
        probability[body, top : top + 26, 55:88] = 1
        probability[disc, top + 27 : top + 33, 55:88] = 1
    probability[body, 60:90, 2:25] = 1
    codes = pseudo.pseudo(probability / probability.sum(0))
    assert (codes[20:30, 60:80] == spider.EXACT + body).all()
    assert (codes[62:88, 4:20] == spider.NOTHING).all()
    assert pseudo.agrees(codes, vertebrae=5, discs=5)
    assert not pseudo.agrees(codes, vertebrae=8, discs=5)
    codes[20:150, 70] = spider.EXACT + body  # bodies grown together
    assert not pseudo.agrees(codes, vertebrae=5, discs=5)
