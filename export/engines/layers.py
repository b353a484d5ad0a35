"""What a builder says of the layers that it made: the engine inspector's lines in its log.

The inspector itself needs the engine on a GPU. The builder prints the same lines without one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

_LAYER = re.compile(r"^Name: (?P<name>.*?), LayerType: (?P<type>\w+),(?P<rest>.*)$", re.MULTILINE)
_OUTPUT = re.compile(r"Dimensions: \[(?P<shape>[\d,]*)\].*?Datatype: (?P<dtype>\w+)")
_MEMORY = re.compile(r"^Total (Activation|Weights) Memory: (\d+) bytes$")


def layer_report(messages: Iterable[str]) -> dict[str, Any]:
    """Read a build's log.

    Args:
        messages: Of one build, with the profiling verbosity DETAILED.

    Returns:
        ``layer_types`` (type -> count), ``layers`` (name, type, and of the first output dtype and shape), and
        ``activation_bytes`` and ``weight_bytes``; what the log does not say is left out.
    """
    layers, memory = [], {}
    for message in messages:
        if found := _MEMORY.match(message):
            memory[{"Activation": "activation_bytes", "Weights": "weight_bytes"}[found[1]]] = int(found[2])
        layers += [_layer(found) for found in _LAYER.finditer(message)]
    return {**memory, "layer_types": dict(Counter(layer["type"] for layer in layers)), "layers": layers}


def _layer(found: re.Match[str]) -> dict[str, Any]:
    layer: dict[str, Any] = {"name": found["name"], "type": found["type"]}
    output = _OUTPUT.search(found["rest"].partition("Outputs: ")[2])
    if output:
        layer |= {"dtype": output["dtype"], "shape": [int(n) for n in output["shape"].split(",") if n]}
    return layer
