"""Samples for the second generation: ``python -m training.prepare --data FOLDER [--only KIND]``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from spineps_rt.phantom import make_anatomy, random_contrast, random_options, render
from spineps_rt.phantom.contrast import FAT_SAT, T1W, T2W
from training import samples, spider
from training.phantoms import codes_of

SAMPLES = Path("training/work/samples")
PHANTOM_SPACING = (0.9375, 0.9375, 1.8)
"""mm along P, I, R."""
SEED = 12
PHANTOMS = 72


def patients(data: Path, folder: Path) -> None:
    """Write the SPIDER patients that are not held out."""
    numbers = sorted(int(p.name.split("-")[1].split("_")[0]) for p in data.glob("spider-*_T2w.nii.gz"))
    for number in numbers:
        path = folder / f"patient-{number}.npz"
        if number not in spider.HELD_OUT and not path.exists():
            case = spider.load(data, number)
            image, codes = (a.transpose(2, 1, 0) for a in (case.image, case.codes))
            samples.write(path, image, codes, case.spacing[::-1])


def phantoms(folder: Path, count: int) -> None:
    """Write phantoms, each with one contrast."""
    for index in range(count):
        path = folder / f"phantom-{index:03d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng((SEED, index))
        options = random_options(rng, spacing=PHANTOM_SPACING)
        anatomy = make_anatomy(options, seed=int(rng.integers(1 << 30)))
        base = (T2W, T1W, FAT_SAT)[rng.choice(3, p=(0.92, 0.05, 0.03))]
        image = render(anatomy, random_contrast(rng, base=base), seed=int(rng.integers(1 << 30)))
        codes = codes_of(anatomy.semantic)
        samples.write(path, image.transpose(2, 1, 0), codes.transpose(2, 1, 0), PHANTOM_SPACING[::-1])


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/.")
@click.option("--folder", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
@click.option("--count", type=int, default=PHANTOMS, show_default=True, help="Phantoms.")
def main(data: Path, folder: Path, count: int) -> None:
    """Write patients and phantoms; files that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    patients(data / "spider", folder)
    phantoms(folder, count)


if __name__ == "__main__":
    main()
