"""A growing pool of phantoms: anatomies kept, images rendered anew from time to time.

What a step sees depends on the seed and the step's number alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spineps_rt import labels as L
from spineps_rt.phantom import Anatomy, make_anatomy, random_contrast, random_options, render
from spineps_rt.phantom.contrast import FAT_SAT, T1W, T2W
from training.patches import Source
from training.spider import CLASS, EXACT, SACRAL_CANAL

SPACING = (0.9375, 0.9375, 1.2)
"""Fine enough across the slices to be averaged into thick ones."""

CANAL_MM = 10.0
"""How far below the sacrum's top a phantom's canal is certain."""

_CODES = np.zeros(256, np.uint8)
_CODES[list(CLASS)] = [EXACT + index for index in CLASS.values()]


def codes_of(semantic: np.ndarray) -> np.ndarray:
    """Turn phantom truth, uint8 (P, I, R), into rows of :data:`training.spider.ALLOWED`."""
    codes = _CODES[semantic]
    rows = np.flatnonzero((semantic == L.SACRUM).any((0, 2)))
    if len(rows):
        below = codes[:, rows[0] + round(CANAL_MM / SPACING[1]) :]
        below[below == EXACT + CLASS[L.CANAL]] = SACRAL_CANAL
    return codes


class PhantomPool:
    """Phantoms on disk and in memory.

    Args:
        folder: Cache of anatomies.
        seed: Seed of everything.
        size: Anatomies at the end; the pool starts with 8 and gains one every 20 steps.
        lifetime: Steps after which an image is rendered anew.
    """

    def __init__(self, folder: Path, seed: int, *, size: int = 64, lifetime: int = 800) -> None:
        self.folder, self.seed, self.size, self.lifetime = folder, seed, size, lifetime
        self.anatomies: dict[int, Anatomy] = {}
        self.images: dict[int, tuple[int, np.ndarray]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def source(self, step: int, rng: np.random.Generator) -> Source:
        """Draw a phantom with an image for the semantic network."""
        index = self._draw(step, rng)
        anatomy, age = self._anatomy(index), (step + 37 * index) // self.lifetime
        if self.images.get(index, (-1,))[0] != age:
            look = np.random.default_rng((self.seed, index, age))
            base = (T2W, T1W, FAT_SAT)[look.choice(3, p=(0.9, 0.06, 0.04))]
            image = render(anatomy, random_contrast(look, base=base), seed=int(look.integers(1 << 30)))
            self.images[index] = (age, image.astype(np.float16))
        image = self.images[index][1].astype(np.float32)
        return Source(image, codes_of(anatomy.semantic), SPACING)

    def truth(self, step: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw semantic and instance truth, (P, I, R) at :data:`SPACING`, for the instance network."""
        anatomy = self._anatomy(self._draw(step, rng))
        return anatomy.semantic, np.where(anatomy.instance > 100, 0, anatomy.instance)

    def _draw(self, step: int, rng: np.random.Generator) -> int:
        return int(rng.integers(min(self.size, 8 + step // 20)))

    def _anatomy(self, index: int) -> Anatomy:
        if index not in self.anatomies:
            path = self.folder / f"{index:03d}.npz"
            if path.exists():
                with np.load(path) as stored:
                    self.anatomies[index] = Anatomy(**stored)
            else:
                rng = np.random.default_rng((self.seed, index))
                options = random_options(rng, spacing=SPACING)
                anatomy = make_anatomy(options, seed=int(rng.integers(1 << 30)))
                part = path.with_suffix(".part.npz")
                np.savez_compressed(part, **vars(anatomy))
                part.replace(path)
                self.anatomies[index] = anatomy
        return self.anatomies[index]
