"""The same network in other precisions and batches, each tried before it may be kept. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from spineps_rt.backends.folds import each_fold
from spineps_rt.backends.openvino import BF16
from spineps_rt.errors import ModelError
from spineps_rt.export.checks.agreement import SAME_DICE, Agreement, worst
from spineps_rt.export.checks.session import run_graph
from spineps_rt.export.checks.tiles import tiles_of
from spineps_rt.export.checks.trial import Trial
from spineps_rt.export.folder import read_folder, serialised, write_folder
from spineps_rt.export.graphs.batched import with_batch
from spineps_rt.export.graphs.emulated import emulated
from spineps_rt.export.graphs.graph import check_graph, fold, load_graph
from spineps_rt.export.graphs.half import LARGEST, half_values, to_half, watched
from spineps_rt.export.graphs.int8 import to_int8
from spineps_rt.models import load_model, select_variant
from spineps_rt.models.resolve import read_graph

PRECISIONS = ("fp16", "int8", BF16)
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
        What to tell the user: a line for each variant, and one for each engine on which it does not agree.

    Raises:
        ModelError: A graph cannot be made, or does not answer as ``model.onnx`` does on any engine; the
            folder is then not to be used.
        SpinepsError: A scan cannot be used.
    """
    maker = _Maker(folder, wanted)
    for precision in ("", *wanted.precisions):
        maker.add(precision)
    return maker.lines


class _Maker:
    """A model folder that gets one variant after the other, each tried before the next is made."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        model = load_model(folder)
        self.lines: list[str] = []
        self._folder, self._model, self._batch = folder, model, wanted.batch
        self._tiles = tiles_of(model, wanted.scans)
        self._trial = Trial(model, self._tiles)
        self._folds = each_fold(select_variant(model, ""))
        self._bases = [fold(load_graph(read_graph(one))) for one in self._folds]
        for base in self._bases:
            check_graph(base)
        self._manifest, self._graphs = read_folder(folder)
        self._entries = self._manifest.setdefault("variants", {})

    def add(self, precision: str) -> None:
        """Add the variants of a precision; of float32 (empty), that of the batch."""
        if precision == BF16:
            agreement = self._trial.run_bf16(self._model)
            self._vouch(BF16, {**_named(self._model.folds), "batch": 1}, agreement, ["openvino"])
            return
        made, found = self._bases, []
        if precision == "fp16":
            made = [to_half(base) for base in self._bases]
            found = [_in_float16(self._bases, made, self._trial)]
        elif precision == "int8":
            made = [to_int8(base, self._tiles) for base in self._bases]
        for batch in sorted({1, self._batch}):
            name = ".".join(part for part in (precision, f"b{batch}" if batch > 1 else "") if part)
            if not name:
                continue
            files = [f"{one.graphs[0].removesuffix('.onnx')}.{name}.onnx" for one in self._folds]
            self._graphs |= {file: _checked(graph, batch) for file, graph in zip(files, made)}
            entry = {**_named(files), "batch": batch}
            self._write(name, {**entry, "same_class": 0.0, "worst_dice": 0.0})
            verdict = self._trial.run(self._folder, name, dice=_DICE.get(precision, SAME_DICE))
            agreement = worst([*found, *verdict.passed.values()])
            self._vouch(name, entry, agreement, verdict.engines(in_float16=bool(found)))
            self.lines += [f"{name} is not vouched for on {d}: {why}" for d, why in verdict.failed.items()]

    def _vouch(self, name: str, entry: dict[str, Any], agreement: Agreement, engines: list[str]) -> None:
        self._write(name, {**entry, **_figures(agreement), "engines": engines})
        self.lines.append(
            f"{name} against float32 on {len(self._tiles)} tiles: {agreement}; vouched for on "
            f"{', '.join(engines)}"
        )

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        self._entries[name] = entry
        write_folder(self._folder, self._graphs, self._manifest)


def _checked(graph: onnx.ModelProto, batch: int) -> bytes:
    """The graph of a batch, serialised."""
    wide = with_batch(graph, batch) if batch > 1 else graph
    check_graph(wide)
    return serialised(wide)


def _named(files: Sequence[str]) -> dict[str, Any]:
    return {"folds": list(files)} if len(files) > 1 else {"file": files[0]}


def _figures(agreement: Agreement) -> dict[str, float]:
    return {"same_class": round(agreement.same_class, 7), "worst_dice": round(agreement.worst_dice, 6)}


def _in_float16(
    bases: Sequence[onnx.ModelProto], graphs: Sequence[onnx.ModelProto], trial: Trial
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
