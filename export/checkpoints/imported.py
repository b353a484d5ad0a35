"""What an import makes of a source: a network ready for the graph, and all that its manifest says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Imported:
    """One model, read but not yet written."""

    network: nn.Module
    """float32, in evaluation mode; its input and output are those of the manifest."""
    manifest: dict[str, Any]
    """Everything but files, provenance and what the export adds."""
    checkpoints: list[Path]
    """What the weights came from."""
    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each."""
