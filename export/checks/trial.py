"""A model's variants on the engines of this machine: on which of them they agree. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spineps_rt.backends import open_engine
from spineps_rt.errors import EngineError, ModelError, NotFiniteError
from spineps_rt.export.checks.agreement import SAME_DICE, Agreement, compare
from spineps_rt.models import load_model
from spineps_rt.models.graphs import GPU, GPU_ENGINES
from spineps_rt.models.manifest import Model

DEVICES = ("onnx", "openvino", *GPU_ENGINES)
"""What a graph is tried on where it is there; the first is the reference."""
_BUILT_LATER = ("tensorrt", "tensorrt-rtx")
"""Devices whose engines of a variant can be built only when the variant is there."""


@dataclass(frozen=True)
class Verdict:
    """On which devices a variant agreed, and why it did not on others."""

    passed: dict[str, Agreement]
    """Device -> agreement; at least one."""
    failed: dict[str, str]
    """Device -> a sentence."""

    def engines(self, *, in_float16: bool) -> list[str]:
        """Name what the manifest may vouch for.

        GPUs that are not here are vouched for by what stands for them, unless a GPU that is here failed:
        float16 computed in float16, or else the reference, which computes a graph as it is written.

        Args:
            in_float16: The variant agreed when it was computed in float16.
        """
        gpus = (in_float16 or DEVICES[0] in self.passed) and not self.failed.keys() & {*GPU_ENGINES}
        return [*self.passed, *([GPU] if gpus else [])]


class Trial:
    """Tiles, what ``model.onnx`` answers to them, and the devices of this machine that can run it."""

    def __init__(self, model: Model, tiles: Sequence[np.ndarray]) -> None:
        """Run ``model.onnx`` on the reference, and find the other devices.

        Args:
            model: The model.
            tiles: Samples of its input, each with a first axis of one.

        Raises:
            EngineError: The reference cannot be had.
        """
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

    def run(self, folder: Path, name: str, *, dice: float = SAME_DICE) -> Verdict:
        """Let every device that runs float32 run a variant.

        Args:
            folder: The model folder; its manifest has the variant and vouches for nothing yet.
            name: The variant.
            dice: The least of a class.

        Raises:
            ModelError: It agrees nowhere.
        """
        model = load_model(folder)
        passed: dict[str, Agreement] = {}
        failed: dict[str, str] = {}
        for device in self.devices:
            try:
                with open_engine(model, device=device, variant=name) as engine:
                    what, answer = f"Variant {name} on {engine.provider}", engine.infer(self.tiles)
                passed[device] = self.compared(answer, what, dice=dice)
            except (ModelError, NotFiniteError) as error:
                failed[device] = str(error)
            except EngineError as error:
                if device not in _BUILT_LATER:
                    failed[device] = str(error)
        if not passed:
            raise ModelError(" ".join([*failed.values(), "Nothing was written."]))
        return Verdict(passed, failed)

    def run_bf16(self, model: Model) -> Agreement:
        """Let OpenVINO compute the float32 graph in bfloat16.

        Raises:
            ModelError: It does not agree.
            EngineError: OpenVINO or the processor cannot.
        """
        with open_engine(model, device="openvino-bf16", variant="") as engine:
            return self.compared(engine.infer(self.tiles), "The network in bfloat16")

    def compared(self, answers: np.ndarray, what: str, *, dice: float = SAME_DICE) -> Agreement:
        """Compare answers to all tiles with ``model.onnx``'s.

        Raises:
            ModelError: They do not agree.
        """
        agreement = compare(answers, self.references)
        agreement.require(what, dice=dice)
        return agreement
