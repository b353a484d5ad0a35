"""Seconds of the networks on this CPU: ``python -m benchmarks.networks``, and ``--agreement SCAN...``.

Every way of running a network takes its turn on one input, PyTorch too, and the machine's peak is measured
in between as the best matrix product of OpenVINO. A way whose classes are not those of float32 is no way: how
far they agree stands beside its time. ``--agreement`` asks the same of every tile and cutout of real scans.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import onnx
import openvino
import openvino.opset13 as operators
import torch

from benchmarks.figures import RESULTS, circumstances, load, save
from spineps_rt.backends import Engine, open_engine
from spineps_rt.export.checkpoints.instance_unet import InstanceUnet, LabelsToClasses
from spineps_rt.export.checkpoints.plans import build_semantic
from spineps_rt.export.checks.agreement import compare
from spineps_rt.export.checks.tiles import phantom_tile
from spineps_rt.inference.instance import InstanceNetwork
from spineps_rt.inference.predictors import Predictors
from spineps_rt.inference.semantic import SemanticNetwork
from spineps_rt.models import InstanceModel, Model, load_model
from spineps_rt.models.resolve import read_graph
from spineps_rt.options import Options
from spineps_rt.pipeline import Pipeline
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
    document = load(OUTPUT)
    if agreement:
        document["agreement"] = [one for scan in scans for one in agreements(scan)]
    else:
        document |= {
            **circumstances("networks", "torch"),
            "networks": [timed(load_model(name), turns) for name in MODELS],
        }
    save(document, OUTPUT)


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
    product = operators.matmul(given, operators.constant(matrix), transpose_a=False, transpose_b=False)
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
    with ExitStack() as stack:
        asked = [
            _Recorded(stack.enter_context(open_engine(load_model(n), device="openvino"))) for n in MODELS
        ]
        networks = Predictors(SemanticNetwork(asked[0]), InstanceNetwork(asked[1]))  # type: ignore[arg-type]
        Pipeline(options=Options(any_plane=True), predictors=networks).run(scan)
    lines = []
    for name, recorded in zip(MODELS, asked):
        with open_engine(load_model(name), device="openvino-bf16") as engine:
            answers = np.concatenate([engine.infer(sample) for sample, _ in recorded.samples])
        found = compare(answers, np.concatenate([answer for _, answer in recorded.samples]))
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


class _Recorded:
    """An engine that keeps what it is asked and answers, a batch at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.samples: list[tuple[np.ndarray, np.ndarray]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def borrow(self, batch: np.ndarray) -> np.ndarray:
        answer = self._engine.borrow(batch)
        self.samples.append((batch.copy(), answer.copy()))
        return answer


if __name__ == "__main__":
    main()
