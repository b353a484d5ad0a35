"""One scan through spineps-rt in a process of its own, with SPINEPS's rules or with the defaults.

``benchmarks.versus_scan`` starts it: ``python -m benchmarks.our_scan SCAN OUT --as-spineps``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.figures import cost
from spineps_rt.io.naming import output_paths
from spineps_rt.options import AS_SPINEPS, DEVICES, EngineOptions, Options, PreprocessOptions
from spineps_rt.pipeline import Pipeline
from spineps_rt.report.write import write_outputs


@click.command()
@click.argument("scan", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--as-spineps", is_flag=True, help="Take every departure from SPINEPS back.")
@click.option("--bias-field/--no-bias-field", default=PreprocessOptions.bias_field)
@click.option("--device", type=click.Choice(DEVICES), default="cpu")
def main(scan: Path, out: Path, *, as_spineps: bool, bias_field: bool, device: str) -> None:
    """Segment SCAN with the embedded models; masks and cost.json go to OUT."""
    options = replace(
        AS_SPINEPS if as_spineps else Options(),
        preprocess=PreprocessOptions(bias_field=bias_field),
        engine=EngineOptions(device),
        any_plane=True,
    )
    paths = output_paths(scan, out)
    with Pipeline(options=options) as pipeline:
        write_outputs(pipeline.run(scan), paths, overwrite=True)
    spent = cost()
    shutil.copy(paths.semantic, out / "spine.nii.gz")
    shutil.copy(paths.instances, out / "vert.nii.gz")
    (out / "cost.json").write_text(json.dumps(spent))


if __name__ == "__main__":
    main()
