"""Engines of the embedded models, built without a GPU: ``python -m benchmarks.engines``.

TensorRT-RTX builds every embedded model for four GPUs in each of its precisions. Nothing is run: that takes
the GPU. The engines themselves are thrown away.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.figures import circumstances, output, save
from spineps_rt.backends.telemetry import import_onnxruntime
from spineps_rt.backends.tensorrt import FULL, HALF
from spineps_rt.backends.tensorrt_library import load_library
from spineps_rt.errors import EngineError
from spineps_rt.export.checks.agreement import compare
from spineps_rt.export.checks.tiles import phantom_tile
from spineps_rt.export.engines.tensorrt import Built, build_engine
from spineps_rt.export.engines.turing import heads_as_sums
from spineps_rt.export.graphs.graph import load_graph
from spineps_rt.export.graphs.half import to_half
from spineps_rt.models import embedded_models, select_variant
from spineps_rt.models.resolve import Model, read_graph

TARGETS = ("sm75", "sm86", "sm89", "sm120")


@click.command()
@click.option("--repeats", default=3, show_default=True, help="Builds of each engine.")
@output("engines")
def main(repeats: int, output: Path) -> None:
    """Build every engine several times; print and keep its seconds, megabytes and layers."""
    document = circumstances("engines", "tensorrt-rtx")
    rows = []
    for model in embedded_models():
        for precision in (HALF, FULL):
            graph = graph_of(model, precision)
            for target in TARGETS:
                rows.append(
                    {
                        "model": model.name,
                        "target": target,
                        "precision": precision,
                        "graph_mb": len(graph) / 1e6,
                        **measured(graph, target, precision, repeats),
                    }
                )
                if rows[-1].get("rewritten"):
                    rows[-1]["rewritten_agrees"] = rewritten_agrees(model, graph)
                click.echo(f"{model.name:<14}{target:<7}{precision:<6}{told(rows[-1])}")
    save({**document, "engines": rows}, output)


def graph_of(model: Model, precision: str) -> bytes:
    """Read a model's graph in a precision; fp16 is made of it where the model has no such variant."""
    if precision == FULL or precision in model.variants:
        return read_graph(select_variant(model, "" if precision == FULL else precision))
    return to_half(load_graph(read_graph(model))).SerializeToString()


def measured(graph: bytes, target: str, precision: str, repeats: int) -> dict[str, Any]:
    """Build an engine several times.

    Args:
        graph: A serialised ONNX model.
        target: For instance ``sm86``.
        precision: The graph's.
        repeats: Builds.

    Returns:
        Seconds of every build, megabytes and layers of the last; or why it cannot be built.
    """
    library = load_library("tensorrt-rtx")
    built: list[Built] = []
    try:
        for _ in range(repeats):
            built.append(build_engine(graph, library=library, target=target, precision=precision))
    except EngineError as error:
        return {"refused": str(error)}
    report = built[-1].report
    return {
        "seconds": [one.report["seconds"] for one in built],
        "engine_mb": len(built[-1].engine) / 1e6,
        "activation_mb": report["activation_bytes"] / 1e6,
        "layers": len(report["layers"]),
        "layer_dtypes": dict(Counter(layer["dtype"] for layer in report["layers"] if "dtype" in layer)),
        "rewritten": report["settings"]["rewritten"],
    }


def rewritten_agrees(model: Model, graph: bytes) -> dict[str, float]:
    """Compare what Turing gets with the graph it is made of: ONNX Runtime, on the CPU, on a phantom."""
    tile = phantom_tile(model)
    one, two = (
        import_onnxruntime()
        .InferenceSession(data, providers=["CPUExecutionProvider"])
        .run([model.output.name], {model.input.name: tile})[0]
        for data in (heads_as_sums(graph)[0], graph)
    )
    agreement = compare(one, two)
    agreement.require(f"What sm75 gets of {model.name}")
    return asdict(agreement)


def told(row: dict[str, Any]) -> str:
    """One line about an engine."""
    if "refused" in row:
        return f"refused: {row['refused']}"
    return f"{min(row['seconds']):6.2f} s {row['engine_mb']:6.1f} MB {row['layers']:4d} layers"


if __name__ == "__main__":
    main()
