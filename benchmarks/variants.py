"""The embedded models' variants against float32: ``python -m benchmarks.variants SCAN...``.

Each variant is exported as ``spineps-rt export model`` does, tried on a phantom and on the scans, and thrown
away; a refusal is kept with its reason. The checkpoints are exported again and compared with the embedded
graphs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import onnx

from benchmarks.figures import circumstances, output, save
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.export.folder import read_folder
from spineps_rt.export.graphs.graph import fold, load_graph
from spineps_rt.export.model import export
from spineps_rt.export.variants import Wanted
from spineps_rt.models import default_models
from spineps_rt.models.manifest import GRAPH, Model

CHECKPOINTS = Path(__file__).parents[1] / "training" / "checkpoints"
EXPORTS = (("", ("b2",)), ("fp16", ("fp16", "fp16.b2")), ("int8", ("int8",)), ("bf16", ("bf16",)))
"""Precision, and the variants of it; what refuses one refuses all of them."""


@click.command()
@click.argument("scans", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output("variants")
def main(scans: tuple[Path, ...], output: Path) -> None:
    """Export every variant of the embedded models and write what they answer as JSON."""
    models = default_models()
    document: dict[str, Any] = {
        **circumstances("variants", "torch", "onnx"),
        "scans": [scan.name for scan in scans],
        "again": [],
        "variants": [],
    }
    pairs: tuple[tuple[str, Model], ...] = (("semantic", models.semantic), ("instance", models.instance))
    for kind, model in pairs:
        document["again"].append({"model": model.name, **exported_again(CHECKPOINTS / kind, model)})
        click.echo(document["again"][-1])
    for _, model in pairs:
        for precision, names in EXPORTS:
            document["variants"] += rows_of(model, precision, names, scans)
            click.echo(document["variants"][-len(names) :])
    save(document, output)


def exported_again(source: Path, model: Model) -> dict[str, Any]:
    """Export a checkpoint and compare the graph with the embedded one."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        export(source, Path(folder) / "model")
        seconds = time.perf_counter() - started
        made, embedded = ((place / GRAPH).read_bytes() for place in (Path(folder) / "model", model.folder))
    one, two = (fold(load_graph(data)).graph for data in (made, embedded))
    return {
        "seconds": round(seconds, 1),
        "same_bytes": made == embedded,
        "same_operators": [n.op_type for n in one.node] == [n.op_type for n in two.node],
        "same_constants": _constants(one) == _constants(two),
    }


def rows_of(
    model: Model, precision: str, names: tuple[str, ...], scans: tuple[Path, ...]
) -> list[dict[str, Any]]:
    """Export one precision of a model; a row for each variant."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model"
        batched = any(name.endswith("b2") for name in names)
        wanted = Wanted((precision,) if precision else (), batch=2 if batched else 1, scans=scans)
        try:
            export(model.folder, target, wanted=wanted)
        except (ModelError, EngineError) as error:
            return [{"model": model.name, "variant": name, "refused": str(error)} for name in names]
        entries = read_folder(target)[0]["variants"]
        return [
            {
                "model": model.name,
                "variant": name,
                "same_class": entries[name]["same_class"],
                "worst_dice": entries[name]["worst_dice"],
                "mb": (target / entries[name]["file"]).stat().st_size / 1e6,
            }
            for name in names
        ]


def _constants(graph: onnx.GraphProto) -> list[bytes]:
    return sorted(onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer)


if __name__ == "__main__":
    main()
