"""Seconds of the networks on this CPU: ``python -m benchmarks.networks``, and ``--agreement SCAN...``.

Every way of running a network takes its turn on one input, PyTorch too, and the machine's peak is measured
in between as the best matrix product of OpenVINO. A way whose classes are not those of float32 is no way: how
far they agree stands beside its time. ``--agreement`` asks the same of every tile and cutout of real scans.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import onnx
import openvino
import openvino.opset13 as operators
import torch
from spineps_rt.export.agreement import compare
from spineps_rt.export.networks import InstanceUnet, build_semantic
from spineps_rt.export.onnx import LabelsToClasses
from spineps_rt.export.tiles import phantom_tile

from benchmarks.run_latency import RESULTS
from spineps_rt.backends import Engine, open_engine
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.predictors import Predictors
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.kernels.threads import cores
from spineps_rt.models import InstanceModel, Model, load_model, resolve_models
from spineps_rt.models.resolve import read_graph
from spineps_rt.options import Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.record import cpu_name
from training import folders, plans

OUTPUT = RESULTS / "networks.json"
MODELS = ("t2w_semantic", "instance")
Ways = dict[str, Callable[[np.ndarray], np.ndarray]]


@click.command()
@click.argument("scans", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agreement", is_flag=True, help="Compare bfloat16 with float32 on SCANS instead.")
@click.option("--turns", default=5, show_default=True, help="Of every way of running a network.")
def main(scans: tuple[Path, ...], agreement: bool, turns: int) -> None:
    """Write results/networks.json, or its part about agreement."""
    document = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    if agreement:
        document["agreement"] = [one for scan in scans for one in agreements(scan)]
    else:
        document |= {
            "benchmark": "networks",
            "date": datetime.now(timezone.utc).date().isoformat(),
            "machine": {"cpu": cpu_name(), "cores": cores()},
            "versions": {name: metadata.version(name) for name in ("openvino", "torch", "numpy")},
            "networks": [timed(load_model(name), turns) for name in MODELS],
        }
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def timed(model: Model, turns: int) -> dict[str, Any]:
    """Time every way of running a model, by turns."""
    tile = phantom_tile(model)
    ways: Ways = {"OpenVINO f32": open_engine(model, device="openvino").infer}
    if isinstance(model, InstanceModel):
        ways["OpenVINO f32, whole graph"] = open_engine(
            replace(model, first_layer=None), device="openvino"
        ).infer
    ways |= {
        "OpenVINO bf16": open_engine(model, device="openvino-bf16").infer,
        "ONNX Runtime f32": open_engine(model, device="onnx").infer,
        "PyTorch f32": _pytorch(model, bf16=False),
        "PyTorch bf16": _pytorch(model, bf16=True),
    }
    peaks = {"f32": _product("f32"), "bf16": _product("bf16")}
    seconds: dict[str, list[float]] = {name: [] for name in (*ways, *peaks)}
    answers = {name: way(tile) for name, way in ways.items()}
    for _ in range(turns):
        for name, way in {**ways, **peaks}.items():
            start = time.perf_counter()
            way(tile)
            seconds[name].append(time.perf_counter() - start)
    operations = 2 * SIDE**3 / 1e9
    return {
        "name": model.name,
        "gflop": gflop(model),
        "peak_gflops": {name: operations / min(seconds[name]) for name in peaks},
        "ways": {
            name: {
                "seconds": median(seconds[name]),
                **asdict(compare(answers[name], answers["OpenVINO f32"])),
            }
            for name in ways
        },
    }


def gflop(model: Model) -> float:
    """Operations of the convolutions of one run, in 10^9; a product and its sum are two."""
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(read_graph(model))).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.value_info, *graph.output)
    }
    weights = {value.name: value.dims for value in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            over = node.output[0] if node.op_type == "Conv" else node.input[0]
            total += 2 * int(np.prod(weights[node.input[1]])) * int(np.prod(shapes[over][2:]))
    return total / 1e9


SIDE = 2048


def _product(precision: str) -> Callable[[np.ndarray], np.ndarray]:
    """A large matrix product, the nearest thing to the processor's peak."""
    matrix = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    given = operators.parameter([SIDE, SIDE], np.float32)
    product = operators.matmul(given, operators.constant(matrix), False, False)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = (
        openvino.Core()
        .compile_model(openvino.Model([product], [given]), "CPU", settings)
        .create_infer_request()
    )
    return lambda _: request.infer([matrix], share_inputs=True, share_outputs=True)[0]


def _pytorch(model: Model, *, bf16: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The checkpoint that an embedded model was made from."""
    if isinstance(model, InstanceModel):
        inner = InstanceUnet(folders.WIDTH, folders.CHANNELS)
        inner.load_state_dict(folders.read_instance(folders.CHECKPOINTS / "instance"))
        network: torch.nn.Module = LabelsToClasses(inner, folders.CHANNELS)
    else:
        folder = folders.CHECKPOINTS / "semantic"
        described = json.loads((folder / "plans.json").read_text())
        network = build_semantic(described, inputs=1, classes=plans.CLASSES)
        network.load_state_dict(folders.read_semantic(folder))
    network.eval()

    def run(tile: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            answer = network(torch.from_numpy(tile))
            return (answer.float() if answer.is_floating_point() else answer).numpy()

    return run


def agreements(scan: Path) -> list[dict[str, Any]]:
    """Compare bfloat16 with float32 on what the networks see of a scan."""
    models = resolve_models()
    with (
        open_engine(models.semantic, device="openvino") as semantic,
        open_engine(models.instance, device="openvino") as instance,
    ):
        seen = {engine.model.name: _recorded(engine) for engine in (semantic, instance)}
        networks = Predictors(SemanticNetwork(semantic), InstanceNetwork(instance))
        Pipeline(options=Options(any_plane=True), predictors=networks).run(scan)
    lines = []
    for name, samples in seen.items():
        with open_engine(load_model(name), device="openvino-bf16") as engine:
            answers = np.concatenate([engine.infer(sample) for sample, _ in samples])
        found = compare(answers, np.concatenate([answer for _, answer in samples]))
        lines.append(
            {
                "scan": scan.name,
                "network": name,
                "samples": len(answers),
                "same_class": found.same_class,
                "worst_dice": found.worst_dice,
            }
        )
        click.echo(str(lines[-1]))
    return lines


def _recorded(engine: Engine) -> list[tuple[np.ndarray, np.ndarray]]:
    """Keep what an engine is asked and answers, a sample at a time."""
    samples: list[tuple[np.ndarray, np.ndarray]] = []
    run = engine._infer_some

    def record(batch: np.ndarray, how: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        answer = run(batch, how)
        samples.append((batch.copy(), answer.copy()))
        return answer

    engine._infer_some = record  # type: ignore[method-assign]
    return samples


if __name__ == "__main__":
    main()
