"""The same network in other precisions and batches, each tried before it may be kept. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from spineps_rt.export.agreement import SAME_DICE, Agreement, compare, worst
from spineps_rt.export.batched import with_batch
from spineps_rt.export.emulated import emulated
from spineps_rt.export.folder import read_folder, serialised, write_folder
from spineps_rt.export.graph import check_graph, fold, load_graph
from spineps_rt.export.half import LARGEST, half_values, to_half, watched
from spineps_rt.export.int8 import to_int8
from spineps_rt.export.session import run_graph
from spineps_rt.export.tiles import tiles_of

from spineps_rt.backends import open_engine
from spineps_rt.backends.folds import each_fold
from spineps_rt.backends.openvino import BF16
from spineps_rt.errors import EngineError, ModelError
from spineps_rt.models import load_model, select_variant
from spineps_rt.models.manifest import Model
from spineps_rt.models.resolve import read_graph

PRECISIONS = ("fp16", "int8", BF16)
DEVICES = ("onnx", "openvino", "cuda", "onnx-tensorrt", "tensorrt", "tensorrt-rtx")
"""What a graph is tried on where it is there; the first is the reference."""
_DICE = {"int8": 0.99}
"""Of a class, where less than usual is asked for."""


@dataclass(frozen=True)
class Wanted:
    """What an export makes beside the float32 graph, or graphs."""

    precisions: tuple[str, ...] = ()
    """Some of :data:`PRECISIONS`."""
    batch: int = 1
    """Every precision, float32 as well, also with this batch; 1 makes none."""
    scans: tuple[Path, ...] = ()
    """NIfTI files that graphs are calibrated on and tried on, beside a phantom."""
    in_turn: bool = False
    """A graph of every fold, for the runtime to run in turn, instead of one of all."""


def add_variants(folder: Path, wanted: Wanted) -> list[str]:
    """Add variants to a model folder.

    Args:
        folder: Holds ``model.onnx`` and its manifest; changed in place, one variant after the other.
        wanted: Which.

    Returns:
        What to tell the user, a line for each variant.

    Raises:
        ModelError: A graph cannot be made, is refused by an engine, or does not answer as ``model.onnx``
            does; the folder is then not to be used.
        SpinepsError: A scan cannot be used.
    """
    model = load_model(folder)
    tiles = tiles_of(model, wanted.scans)
    trial = _Trial(model, tiles)
    folds = each_fold(select_variant(model, ""))
    bases = [fold(load_graph(read_graph(one))) for one in folds]
    for base in bases:
        check_graph(base)
    manifest, graphs = read_folder(folder)
    entries = manifest.setdefault("variants", {})
    lines = []
    for precision in ("", *wanted.precisions):
        if precision == BF16:
            agreement = trial.run_bf16(model)
            entries[BF16] = {**_named(model.folds), "batch": 1, **_figures(agreement)}
            lines.append(f"{BF16} against float32 on {len(tiles)} tiles: {agreement}")
            continue
        made, found = bases, []
        if precision == "fp16":
            made = [to_half(base) for base in bases]
            found = [_in_float16(bases, made, trial)]
        elif precision == "int8":
            made = [to_int8(base, tiles) for base in bases]
        for batch in sorted({1, wanted.batch}):
            name = ".".join(part for part in (precision, f"b{batch}" if batch > 1 else "") if part)
            if not name:
                continue
            files = [f"{one.graphs[0].removesuffix('.onnx')}.{name}.onnx" for one in folds]
            for file, graph in zip(files, made):
                graphs[file] = _checked(graph, batch)
            entries[name] = {**_named(files), "batch": batch, "same_class": 0.0, "worst_dice": 0.0}
            write_folder(folder, graphs, manifest)
            agreement = worst([*found, *trial.run(folder, name, dice=_DICE.get(precision, SAME_DICE))])
            entries[name] |= _figures(agreement)
            lines.append(f"{name} against float32 on {len(tiles)} tiles: {agreement}")
    write_folder(folder, graphs, manifest)
    return lines


def _checked(graph: onnx.ModelProto, batch: int) -> bytes:
    """The graph of a batch, serialised."""
    wide = with_batch(graph, batch) if batch > 1 else graph
    check_graph(wide)
    return serialised(wide)


class _Trial:
    """Tiles, what ``model.onnx`` answers to them, and the devices of this machine that can run it."""

    def __init__(self, model: Model, tiles: Sequence[np.ndarray]) -> None:
        self.tiles = np.concatenate(tiles)
        self.devices = []
        self.references = np.empty(0)
        for place, device in enumerate(DEVICES):
            try:
                with open_engine(model, device=device, variant="") as engine:
                    if place == 0:
                        self.references = engine.infer(self.tiles)
            except EngineError:
                if place == 0:
                    raise
            else:
                self.devices.append(device)

    def run(self, folder: Path, name: str, *, dice: float) -> list[Agreement]:
        """Let every device run a variant; one that cannot, though it runs float32, is an error."""
        model = load_model(folder)
        found = []
        for device in self.devices:
            with open_engine(model, device=device, variant=name) as engine:
                answer = engine.infer(self.tiles)
                found.append(self.compared(answer, f"Variant {name} on {engine.provider}", dice=dice))
        return found

    def run_bf16(self, model: Model) -> Agreement:
        """Let OpenVINO compute the float32 graph in bfloat16."""
        with open_engine(model, device="openvino-bf16", variant="") as engine:
            return self.compared(engine.infer(self.tiles), "The network in bfloat16")

    def compared(self, answers: np.ndarray, what: str, *, dice: float = SAME_DICE) -> Agreement:
        """Agreement with ``model.onnx`` over all tiles, refused where it does not suffice."""
        agreement = compare(answers, self.references)
        agreement.require(what, dice=dice)
        return agreement


def _named(files: Sequence[str]) -> dict[str, Any]:
    return {"folds": list(files)} if len(files) > 1 else {"file": files[0]}


def _figures(agreement: Agreement) -> dict[str, float]:
    return {"same_class": round(agreement.same_class, 7), "worst_dice": round(agreement.worst_dice, 6)}


def _in_float16(
    bases: Sequence[onnx.ModelProto], graphs: Sequence[onnx.ModelProto], trial: _Trial
) -> Agreement:
    """What hardware that computes float16 will answer; refused where float16 cannot hold a value."""
    answers = []
    for base, graph in zip(bases, graphs):
        names = half_values(graph)
        sizes = np.max([run_graph(watched(base, names), tile[None]) for tile in trial.tiles], axis=0)
        if not sizes.max() <= LARGEST:
            raise ModelError(
                f"The network's value {names[int(sizes.argmax())]} reaches {sizes.max():.3g}; float16 ends "
                f"at {LARGEST:.0f}. Nothing was written; leave fp16 out for this model."
            )
        twin = emulated(graph)
        answers.append(np.concatenate([run_graph(twin, tile[None])[0] for tile in trial.tiles]))
    mean = sum(answers[1:], answers[0]) / len(answers) if len(answers) > 1 else answers[0]
    return trial.compared(mean, "Variant fp16, computed in float16,")
