"""Networks between buffers of a GPU: in numba's simulator, with ONNX Runtime bound to the buffers' memory."""

from __future__ import annotations

import hashlib
import weakref
from functools import partial
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from numba import cuda

import tiny_models
from spineps_rt.backends import device_buffers as device_run
from spineps_rt.backends import open_engine
from spineps_rt.backends.device_buffers import OnnxRun
from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.errors import ContractError, EngineError, ModelError, NotFiniteError, OutOfMemoryError
from spineps_rt.export.graphs.batched import with_batch
from spineps_rt.inference import out_of_memory as memory_module
from spineps_rt.inference.device_window import DeviceAccumulator
from spineps_rt.inference.host_window import HostAccumulator
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.normalise import measured, normalise
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.inference.tile_search import Search
from spineps_rt.inference.tiling import plan_tiles
from spineps_rt.inference.window import sliding_window
from spineps_rt.kernels import cuda as kernels
from spineps_rt.models import load_model, resolve_models, select_variant

PATCH = (3, 4, 5)
RNG = np.random.default_rng(7)
pytestmark = pytest.mark.skipif(cuda_devices() > 0, reason="the buffers lie in the simulator's memory")


@pytest.fixture(autouse=True)
def simulated(monkeypatch):
    """Where the simulator's arrays lie, and who runs there."""
    monkeypatch.setattr(device_run, "address", lambda buffer: buffer.ctypes.data)
    monkeypatch.setattr("spineps_rt.backends.onnxruntime.OnnxRun", partial(OnnxRun, device="cpu"))
    monkeypatch.setattr(kernels, "_THREADS", 32)  # a thread of the simulator is a thread


def open_on_device(folder, variant=""):
    """Open an engine that believes its processor to be a GPU."""
    engine = open_engine(load_model(folder), device="onnx", threads=1, variant=variant)
    engine._bindable = True
    return engine


def classify(engine, image, **options):
    return SemanticNetwork(engine).classify(image, **options)[0]


def windows(engine, *arguments):
    """Every answer, and what was run."""
    network, answers = InstanceNetwork(engine), []

    generator = network.classify_windows(*arguments)
    while True:
        try:
            answers.append(next(generator).copy())
        except StopIteration as end:
            return answers, end.value


def on_device(engine, image, plan, *, search=None, sums="float32"):
    return sliding_window(DeviceAccumulator(engine, image, plan, sums=sums), plan, search=search)


def on_host(engine, image, plan, *, search=None):
    return sliding_window(HostAccumulator(engine, image, plan), plan, search=search)


def add_batch(folder, batch):
    """Give a model a variant that takes several samples at once."""
    content = with_batch(onnx.load(folder / "model.onnx"), batch).SerializeToString()
    (folder / f"b{batch}.onnx").write_bytes(content)
    files = {
        file.name: {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}
        for file in folder.glob("*.onnx")
    }
    variant = {"file": f"b{batch}.onnx", "batch": batch, "same_class": 1.0, "worst_dice": 1.0}
    tiny_models.edit_manifest(folder, files=files, variants={f"b{batch}": variant})


def test_a_variant_is_named_behind_an_at_sign(semantic):
    model = load_model(f"{semantic}@b3")
    assert (model.variant, model.input.shape[0]) == ("b3", 3)
    assert resolve_models(f"{semantic}@b3,instance").semantic.batch == 3
    assert load_model("instance@bf16").variant == "bf16"
    with pytest.raises(ModelError, match=r"no variant 'b4'; it has: b3"):
        resolve_models(f"{semantic}@b4")
    with pytest.raises(ModelError, match="no model 'absent'"):
        load_model("absent@b3")
    (semantic.parent / "an@b3").symlink_to(semantic)
    assert load_model(semantic.parent / "an@b3").variant == ""  # a folder of that name comes first


@pytest.fixture
def semantic(tmp_path):
    """Logits depend on where in the tile a voxel lies, so overlapping and mirrored tiles disagree."""
    field = np.random.default_rng(3).normal(0, 1.5, (1, 4, *PATCH))
    levels = (-1.5, -0.5, 0.5, 1.5)
    folder = tiny_models.write_semantic(tmp_path / "s", levels=levels, patch=PATCH, field=field)
    add_batch(folder, 3)
    return folder


@pytest.mark.parametrize(
    ("shape", "axes", "variant"),
    [
        ((5, 4, 3), [], ""),
        ((1, 1, 1), [], "b3"),
        ((5, 7, 2), [], "b3"),
        ((6, 3, 5), [], ""),
        ((5, 5, 3), [1], ""),
        ((5, 5, 3), [0, 2], "b3"),
    ],
)
def test_a_volume_through_the_device_equals_the_host(semantic, shape, axes, variant):
    tiny_models.edit_manifest(semantic, mirror_axes=axes)
    image = RNG.integers(1, 900, shape).astype(np.float32)
    with open_engine(load_model(semantic), device="onnx", threads=1) as engine:
        expected, host = SemanticNetwork(engine).classify(image)
    told = []
    with open_on_device(semantic, variant) as engine:
        engine.borrow = None  # the host's way
        progress = lambda *tiles: told.append(tiles)  # noqa: E731
        labels, ran = SemanticNetwork(engine).classify(image, progress=progress)
    assert (ran.samples, ran.planned) == (host.samples, host.planned)
    assert min(ran.seconds, host.seconds) > 0
    np.testing.assert_array_equal(labels, expected)
    tiles = ran.samples // 2 ** len(axes)
    assert (told[0], told[-1]) == ((0, tiles), (tiles, tiles))


@pytest.mark.parametrize("variant", ["", "b3"])
def test_a_search_on_the_device_runs_the_tiles_of_the_host(tmp_path, variant):
    image = np.full((3, 24, 15), 1, np.float32)
    image[:, 4:, :3] = 300
    image[:, 4:, 3:6] = 900
    levels = tiny_models.zscore_levels(image, (0, 100, 300, 900))
    semantic = tiny_models.write_semantic(tmp_path / "s", levels=levels, patch=PATCH)
    add_batch(semantic, 3)
    plan = plan_tiles(image.shape, PATCH, 0.5)
    searches = [Search(plan, np.array([0, 1, 2, 3], np.uint8), (0.05, 0.05)) for _ in range(2)]
    with open_on_device(semantic, variant) as engine:
        values = measured(image, "zscore")
        answer = on_device(engine, values, plan, search=searches[0])
        expected = on_host(engine, normalise(image, "zscore"), plan, search=searches[1])
    np.testing.assert_array_equal(answer, expected)
    assert 0 < searches[0].tiles_run == searches[1].tiles_run < len(plan.tiles)


def test_sums_in_float16_differ_only_where_classes_nearly_tie(semantic):
    image = RNG.integers(0, 900, (3, 9, 11)).astype(np.float32)
    plan = plan_tiles(image.shape, PATCH, 0.5)
    with open_on_device(semantic, "b3") as engine:
        rough = on_device(engine, measured(image, "zscore"), plan, sums="float16")
        expected = on_host(engine, normalise(image, "zscore"), plan)
    assert (rough == expected).mean() > 0.98


def test_infinite_logits_are_an_error(tmp_path):
    field = np.zeros((1, 3, *PATCH), np.float32)
    field[0, 2, 1, 1, 1] = np.inf
    with (
        open_on_device(tiny_models.write_semantic(tmp_path, patch=PATCH, field=field)) as engine,
        pytest.raises(NotFiniteError, match="NaN or infinity on the GPU"),
    ):
        classify(engine, np.ones(PATCH[::-1], np.float32))


@pytest.mark.parametrize("axes", [("P", "I", "R"), ("R", "I", "P")])
@pytest.mark.parametrize("variant", ["", "b3"])
def test_windows_of_a_mask_equal_the_cutouts_of_the_host(tmp_path, axes, variant):
    size = (2, 6, 4)
    folder = tiny_models.write_instance(tmp_path, cutout=size, band=2, axes=axes)
    add_batch(folder, 3)
    labels = RNG.integers(0, 4, (5, 7, 6)).astype(np.uint8)
    table = np.zeros(256, np.uint8)
    table[1:3] = 7, 9  # 3 goes
    starts = np.array([[0, 0, 0], [-2, 3, 4], [3, -5, -1], [1, 1, 1]])
    with open_engine(load_model(folder), device="onnx", threads=1) as engine:
        expected, _ = windows(engine, labels, table, starts)
    with open_on_device(folder, variant) as engine:
        engine.borrow = None  # the host's way
        answers, ran = windows(engine, labels, table, starts)
        assert windows(engine, labels, table, starts[:0])[0] == []
    assert (ran.samples, ran.planned) == (4, 4)
    assert ran.seconds > 0
    np.testing.assert_array_equal(answers, expected)
    assert np.any(answers)


def test_a_class_that_no_instance_network_has_is_an_error(tmp_path):
    folder = tiny_models.write_instance(tmp_path, cutout=(2, 6, 4), band=2, first_class=2)
    labels, table = np.ones((2, 6, 4), np.uint8), np.ones(256, np.uint8)
    with open_on_device(folder) as engine, pytest.raises(ContractError, match="class 4"):
        windows(engine, labels, table, np.zeros((1, 3), np.int64))


def test_a_run_on_an_array_of_the_host(semantic):
    batch = RNG.normal(size=(1, 1, *PATCH)).astype(np.float32)
    with open_on_device(semantic) as engine:
        np.testing.assert_array_equal(engine.device_buffers().run(batch), engine.infer(batch))
        first = engine.device_buffers()
        assert engine.device_buffers() is first
        engine.release_buffers()
        assert engine.device_buffers() is not first
    assert engine.device_buffers() is None  # closed


def test_a_network_that_fails_is_told_with_its_reason(semantic):
    with open_on_device(semantic) as engine:
        engine.device_buffers()._binding.clear_binding_inputs()
        with pytest.raises(EngineError, match=r"ONNX Runtime .* failed on model 'tiny-semantic': .*image"):
            classify(engine, np.ones(PATCH[::-1], np.float32))


class Cramped:
    """Device memory for buffers up to a size; beyond it numba's own words."""

    def __init__(self, monkeypatch, limit):
        self.refused = 0
        for name in ("device_array", "to_device"):
            monkeypatch.setattr(cuda, name, partial(self._within, getattr(cuda, name), limit))

    def _within(self, allocate, limit, *arguments, **options):
        array = allocate(*arguments, **options)
        if array.nbytes > limit:
            self.refused += 1
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        return array


def test_a_batch_that_does_not_fit_runs_one_by_one(semantic, monkeypatch, caplog):
    image = RNG.integers(1, 900, (5, 9, 6)).astype(np.float32)
    with open_engine(load_model(semantic), device="onnx", threads=1) as engine:
        expected = classify(engine, image)
    cramped = Cramped(monkeypatch, 4 * 4 * 9 * 3 * 6)  # the sums; three tiles' logits are more
    with open_on_device(semantic, "b3") as engine:
        labels = classify(engine, image, overwrite=True)
        assert (engine.model.batch, engine.model.variant) == (1, "")
    assert cramped.refused == 1
    assert "3 samples at once of model tiny-semantic; going on one by one" in caplog.text
    np.testing.assert_array_equal(labels, expected)


def test_what_the_failed_attempt_held_is_free_before_the_next(semantic, monkeypatch):
    """The frames of an error hold its arrays, and numba keeps what is freed: both must go before a retry."""
    held, cleared = [], []
    pending = SimpleNamespace(clear=lambda: cleared.append("cleared"))
    context = SimpleNamespace(memory_manager=SimpleNamespace(deallocations=pending))
    monkeypatch.setattr(cuda, "current_context", lambda: context)

    class Window:
        pass

    def attempt(engine):
        window = Window()
        window.itself = window  # a cycle, as contexts and closures make them
        held.append(weakref.ref(window))
        try:
            raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")
        except RuntimeError as error:
            with engine.explained():
                raise ValueError("could not run") from error

    with open_on_device(semantic, "b3") as engine:
        switch = engine.switch_variant
        engine.device_buffers()

        def look_and_switch(model):
            assert held[-1]() is None
            assert cleared == ["cleared"]
            return switch(model)

        engine.switch_variant = look_and_switch
        with pytest.raises(OutOfMemoryError, match="could not run"):
            memory_module.within_memory(engine, partial(attempt, engine))
        assert engine.model.batch == 1
    assert len(held) == 2


def test_memory_that_never_suffices_is_an_error_that_says_what_to_do(semantic, monkeypatch):
    cramped = Cramped(monkeypatch, 900)
    monkeypatch.setattr(memory_module, "cuda_devices", lambda: 1)
    with open_on_device(semantic, "b3") as engine:
        with pytest.raises(
            OutOfMemoryError,
            match=r"(?s)'tiny-semantic' on ONNX .*a batch of 1 takes \d+\.\d MB .*of the GPU's .* are free"
            r".*CUDA_ERROR_OUT_OF_MEMORY.*--device cpu.*fp16",
        ):
            classify(engine, np.ones((5, 9, 6), np.float32))
        assert engine._device is None  # it gave its memory back
    assert cramped.refused == 2


def test_labels_that_do_not_fit_are_an_error(tmp_path, monkeypatch):
    folder = tiny_models.write_instance(tmp_path, cutout=(4, 6, 3), band=2)
    Cramped(monkeypatch, 300)
    labels, table = np.ones((9, 9, 9), np.uint8), np.ones(256, np.uint8)
    with open_on_device(folder) as engine, pytest.raises(OutOfMemoryError, match="Memory does not suffice"):
        windows(engine, labels, table, np.zeros((1, 3), np.int64))


@pytest.mark.parametrize(
    "said", ["Failed to allocate memory for requested buffer", "CUDA failure 2: out of memory"]
)
def test_a_batch_of_cutouts_on_the_host_s_way_shrinks_too(tmp_path, said):
    size = (4, 6, 3)
    folder = tiny_models.write_instance(tmp_path, cutout=size, band=2)
    add_batch(folder, 3)
    labels, table = RNG.integers(0, 3, (9, 9, 9)).astype(np.uint8), np.arange(256, dtype=np.uint8)
    starts = RNG.integers(-2, 8, (5, 3))
    with open_engine(select_variant(load_model(folder), "b3"), device="onnx") as engine:
        expected, _ = windows(engine, labels, table, starts)
        run = engine._run

        def crowded(batch):
            if len(batch) > 1:
                raise RuntimeError(said)
            return run(batch)

        engine._run = crowded
        np.testing.assert_array_equal(windows(engine, labels, table, starts)[0], expected)
        assert engine.model.batch == 1
