"""The acceptance command: its steps, limits and file without a GPU, and what it lets PyTorch run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

import tiny_models
from benchmarks import gpu_acceptance, gpu_networks
from benchmarks.checkout import ROOT
from benchmarks.gpu_acceptance import STEPS, Step, run_steps, summary
from spineps_rt.backends import device_buffers, open_engine
from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.kernels import cuda as kernels
from spineps_rt.models import load_model

no_gpu = pytest.mark.skipif(cuda_devices() > 0, reason="this machine has a GPU")


@no_gpu
def test_without_a_gpu_it_runs_to_its_end_and_says_what_is_unproven(tmp_path):
    out = tmp_path / "found.json"
    words = [sys.executable, "-m", "benchmarks.gpu_acceptance", "--out", str(out), "--budget", "300"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["steps"]
    assert [found[step.name]["status"] for step in STEPS] == ["passed"] + ["skipped"] * (len(STEPS) - 1)
    assert found["env"]["figures"]["packages"]["numpy"] == np.__version__
    assert {found[step.name]["reason"] for step in STEPS[1:]} == {"the driver shows no NVIDIA GPU"}
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("unproven: ")] == lines[-len(STEPS) + 1 :]


def test_a_step_has_a_time_limit_the_budget_an_end_and_the_file_is_whole_after_each(tmp_path, monkeypatch):
    out, written = tmp_path / "found.json", []
    write = gpu_acceptance._write

    def recorded(path, document):
        write(path, document)
        written.append({n: s["status"] for n, s in json.loads(path.read_text())["steps"].items()})

    monkeypatch.setattr(gpu_acceptance, "_write", recorded)
    quick = Step("env", "", 0.01, "nothing")
    absent = Step("no such step", "", 30, "nothing either")
    document = run_steps([quick, absent], out=out, budget=60)
    first, second = document["steps"].values()
    assert (first["status"], first["reason"]) == ("failed", "it did not end in 0 s")
    assert (second["status"], second["reason"]) == ("failed", "its process ended with 1 and no answer")
    assert "StopIteration" in second["log"]
    assert [list(states.values()) for states in written] == [
        ["skipped", "skipped"],
        ["failed", "skipped"],
        ["failed", "failed"],
    ]
    assert summary(document)[1:] == [
        "0 passed, 2 failed, 0 skipped",
        "unproven: nothing (env: it did not end in 0 s)",
        "unproven: nothing either (no such step: its process ended with 1 and no answer)",
    ]
    spent = run_steps([quick], out=out, budget=1)["steps"]["env"]
    assert (spent["status"], spent["reason"]) == ("skipped", "the budget of 1 s is spent")
    assert gpu_acceptance.main(["--out", str(out), "--only", "env"]) == 0


def test_what_fails_in_a_step_makes_the_command_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(
        gpu_acceptance, "_in_a_process", lambda *_, **__: gpu_acceptance._answer("failed", "on purpose")
    )
    assert gpu_acceptance.main(["--out", str(tmp_path / "x.json"), "--only", "env"]) == 1


def test_a_library_that_is_missing_skips_its_step_by_name():
    with pytest.raises(gpu_acceptance.SkippedError, match="no_such_library cannot be imported"):
        gpu_acceptance.require("json", "no_such_library")


def test_every_step_exists():
    for step in STEPS:
        module, _, function = step.function.partition(":")
        assert callable(getattr(importlib.import_module(f"benchmarks.{module}"), function))


def test_a_bare_checkout_finds_its_packages(tmp_path):
    """As on a box where nothing is installed: the finder of the editable installation is left out."""
    script = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'ditable' not in repr(f)]; "
        "from benchmarks.checkout import link_checkout; assert link_checkout(); "
        "import spineps_rt.engines, spineps_rt.export.graphs.batched, spineps_rt.diagnostics.selftest as s; "
        "assert s.FOLDER.is_dir()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def torch_network(monkeypatch):
    """PyTorch on the processor, between buffers of the simulator."""
    torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")
    torch_network = importlib.import_module("benchmarks.torch_network")
    monkeypatch.setattr(torch_network, "GPU", "cpu")
    monkeypatch.setattr(torch_network, "shown", lambda buffer: torch.from_numpy(buffer._ary))
    monkeypatch.setattr(device_buffers, "address", lambda buffer: buffer.ctypes.data)
    monkeypatch.setattr(kernels, "_THREADS", 32)
    return torch_network


@pytest.mark.parametrize("name", ["t2w_semantic", "instance"])
def test_pytorch_answers_as_onnx_runtime(torch_network, name):
    model = load_model(ROOT / "engines" / name)
    batch = gpu_networks._batch(model)
    with open_engine(model, device="onnx") as engine, torch_network.TorchEngine(model, on_gpu=False) as other:
        assert (
            gpu_networks._classes(engine.infer(batch)) == gpu_networks._classes(other.infer(batch))
        ).mean() > 0.9999


def test_an_operator_that_it_lacks_is_named(torch_network, tmp_path):
    node = onnx.helper.make_node("Softmax", ["image"], ["logits"])
    ends = [onnx.helper.make_tensor_value_info(n, 1, [1, 2]) for n in ("image", "logits")]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]))
    with pytest.raises(torch_network.ModelError, match="holds Softmax"):
        torch_network.Graph(model.SerializeToString(), device="cpu")


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_is_onnx_s(torch_network, mode):
    node = onnx.helper.make_node("DepthToSpace", ["image"], ["logits"], blocksize=2, mode=mode)
    shapes = {"image": [1, 8, 3, 2], "logits": [1, 2, 6, 4]}
    ends = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in shapes.items()]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    content, image = model.SerializeToString(), np.arange(48, dtype=np.float32).reshape(1, 8, 3, 2)
    (expected,) = onnxruntime.InferenceSession(content).run(None, {"image": image})
    answer = torch_network.Graph(content, device="cpu")(torch_network.torch.from_numpy(image))
    np.testing.assert_array_equal(answer.numpy(), expected)


@no_gpu
def test_pytorch_between_our_buffers_gives_the_host_s_masks(torch_network, tmp_path):
    patch = (3, 4, 5)
    field = np.random.default_rng(3).normal(0, 1.5, (1, 4, *patch))
    levels = (-1.5, -0.5, 0.5, 1.5)
    model = load_model(tiny_models.write_semantic(tmp_path / "s", levels=levels, patch=patch, field=field))
    image = np.random.default_rng(0).integers(1, 900, (5, 9, 6)).astype(np.float32)
    with open_engine(model, device="onnx", threads=1) as engine:
        expected, _ = SemanticNetwork(engine).classify(image)
    with torch_network.TorchEngine(model) as engine:
        engine.borrow = None  # the host's way
        answer, ran = SemanticNetwork(engine).classify(image)
    np.testing.assert_array_equal(answer, expected)
    assert ran.seconds > 0


@no_gpu
def test_the_step_of_the_window_passes_in_the_simulator(torch_network, tmp_path, monkeypatch):
    model = load_model(tiny_models.write_semantic(tmp_path / "s", levels=(-1.0, 0.2, 1.1), patch=(3, 4, 5)))
    monkeypatch.setattr(gpu_networks, "with_torch", lambda: None)
    monkeypatch.setattr(gpu_networks, "embedded", lambda _: model)
    monkeypatch.setattr(gpu_networks, "VOLUME", (3, 6, 8))
    figures = gpu_networks.window()
    assert figures["tiles"] == 6
    assert {figures[way]["same_class"] for way in ("plain", "mirrored", "batch of 3")} == {1.0}
