"""What the second generation trains on: a folder of samples, one file each, that may grow during a training.

``KIND-NAME.npz`` holds ``image`` (uint8 or float16, scanner units), ``codes`` (uint8, rows of
:data:`training.spider.ALLOWED`), both (R, I, P), and ``spacing`` (mm along R, I, P). Kinds: ``patient``
(SPIDER volumes), ``phantom``, ``slice`` (a middle slice of another series, one slice thick).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from spineps_rt import labels as L
from training import spider

KINDS = ("patient", "phantom", "slice")


class Sample(NamedTuple):
    """One volume or slice, ready to be drawn from."""

    image: torch.Tensor
    """float32 (R, I, P), z-scored."""
    codes: torch.Tensor
    """uint8 (R, I, P)."""
    spacing: tuple[float, float, float]
    """mm along R, I, P."""
    inside: np.ndarray
    """int32 (n, 3): some voxels of structures, around which patches are placed."""


def write(
    path: Path, image: np.ndarray, codes: np.ndarray, spacing: tuple[float, ...], *, taught: bool = False
) -> None:
    """Write a sample beside its final name, then rename.

    Args:
        path: ``KIND-NAME.npz``.
        image: (R, I, P), any real dtype; stored as uint8 between its darkest and its 99.9th percentile.
        codes: uint8 (R, I, P).
        spacing: mm along R, I, P.
        taught: The codes hold what the first generation's network knows.
    """
    top = float(np.percentile(image, 99.9)) or 1.0
    grey = (np.clip(image / top, 0, 1) * 255).round().astype(np.uint8)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        more = {"taught": np.True_} if taught else {}
        np.savez_compressed(file, image=grey, codes=codes.astype(np.uint8), spacing=np.array(spacing), **more)
    part.replace(path)


def read(path: Path, device: torch.device) -> Sample:
    """Read a sample and bring its intensities to mean 0 and deviation 1 over the box of what is not zero."""
    with np.load(path) as stored:
        image, codes = stored["image"].astype(np.float32), stored["codes"]
        spacing = tuple(float(mm) for mm in stored["spacing"])
    filled = np.argwhere(image != 0)
    low, high = filled.min(0), filled.max(0) + 1
    box = image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    image = (image - box.mean()) / (box.std() + 1e-6)
    rng = np.random.default_rng(0)
    where = np.argwhere(~spider.ALLOWED[codes, 0])
    if not len(where):
        where = filled
    chosen = where[rng.choice(len(where), min(4000, len(where)), replace=False)].astype(np.int32)
    return Sample(
        torch.from_numpy(image).to(device),
        torch.from_numpy(codes).to(device),
        spacing,
        chosen,  # type: ignore[arg-type]
    )


def mirrored_codes() -> np.ndarray:
    """uint8 (codes,): the code that a code becomes when left and right change places."""
    pairs = ((43, 44), (45, 46), (47, 48))
    other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    table = np.arange(len(spider.ALLOWED), dtype=np.uint8)
    for label in L.SEMANTIC_CLASSES:
        table[spider.EXACT + spider.CLASS[label]] = spider.EXACT + spider.CLASS[other.get(label, label)]
    return table


class Gallery:
    """The samples of a folder, kept in memory; new and changed files are taken in by :meth:`refresh`."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self._stamps: dict[Path, int] = {}
        self._samples: dict[str, dict[Path, Sample]] = {kind: {} for kind in KINDS}
        self.refresh()

    def refresh(self) -> int:
        """Read what is new, forget what is gone; answer how many files are new."""
        fresh = 0
        for path in [path for path in self._stamps if not path.exists()]:
            del self._stamps[path], self._samples[path.name.split("-")[0]][path]
        for path in sorted(self.folder.glob("*-*.npz")):
            stamp = path.stat().st_mtime_ns
            if self._stamps.get(path) != stamp:
                self._samples[path.name.split("-")[0]][path] = read(path, self.device)
                self._stamps[path] = stamp
                fresh += 1
        return fresh

    def count(self, kind: str) -> int:
        """How many samples of a kind there are."""
        return len(self._samples[kind])

    def pick(self, kind: str, rng: np.random.Generator) -> Sample:
        """Draw one of a kind."""
        found = list(self._samples[kind].values())
        return found[rng.integers(len(found))]
