"""One file of samples for a machine that has no data: ``python -m training.pack OUTPUT``.

Patients are averaged to 1.8 mm slices; phantoms are taken while there is room, since more of them can be made
anywhere (``training.prepare``). There: ``python -m zipfile -e samples.zip training/work/samples``.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import click
import numpy as np

from training.prepare import SAMPLES

LIMIT = 35 * 2**20
"""Bytes."""
COARSEST = 1.3
"""Volumes of finer slices, mm, are averaged in pairs."""


def packed(path: Path) -> bytes:
    """Give a sample's content: fine slices averaged in pairs, the codes of every second one."""
    with np.load(path) as stored:
        arrays = dict(stored)
    pairs = len(arrays["image"]) // 2
    if arrays["spacing"][0] < COARSEST and pairs > 1:
        fine = arrays["image"][: 2 * pairs].astype(np.float32)
        arrays["image"] = fine.reshape(pairs, 2, *fine.shape[1:]).mean(1).round().astype(np.uint8)
        arrays["codes"] = arrays["codes"][: 2 * pairs : 2]
        arrays["spacing"] = arrays["spacing"] * (2, 1, 1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--samples", type=click.Path(path_type=Path), default=SAMPLES, show_default=True)
def main(output: Path, samples: Path) -> None:
    """Write OUTPUT, a zip file below 35 MiB."""
    size = taken = 0
    found = [
        path for kind in ("patient", "slice", "phantom") for path in sorted(samples.glob(f"{kind}-*.npz"))
    ]
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for path in found:
            content = packed(path)
            room = len(content) + 2 * len(path.name) + 200
            if size + room < LIMIT:
                archive.writestr(path.name, content)
                size, taken = size + room, taken + 1
    click.echo(f"{taken} of {len(found)} samples, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
