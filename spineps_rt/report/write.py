"""Writing: all files of a scan appear together or not at all."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from spineps_rt._version import __version__
from spineps_rt.io.atomic import prepare_folder, write_together
from spineps_rt.io.naming import OutputPaths
from spineps_rt.io.nifti import encode_nifti
from spineps_rt.io.sets import refuse_another
from spineps_rt.report import points_json
from spineps_rt.report.record import run_record
from spineps_rt.report.snapshot import Caption, render_snapshot
from spineps_rt.report.table import span
from spineps_rt.results import Result


def write_outputs(result: Result, paths: OutputPaths, *, overwrite: bool = False) -> None:
    """Write masks, centroids, snapshot and run record: all of them or none.

    Args:
        result: The finished run.
        paths: From :func:`output_paths`; the folder is made if need be.
        overwrite: Results of the same scan that are there are replaced.

    Raises:
        OutputExistsError: Results are there, perhaps since a moment, and ``overwrite`` is false.
        OutputError: Something cannot be written, or would replace another scan's; then nothing was written.
    """
    names = [network.name for network in result.networks if network.kind == "semantic"]
    caption = Caption(
        title=result.source.name,
        subtitle=span(result),
        footer=f"spineps-rt {__version__} · {', '.join(names)} · not a medical device, not for clinical use",
        names=result.names,
        doubtful=result.quality.doubtful,
        reasons=[f"{reason.verdict}: {reason.text}" for reason in result.quality.alarms],
    )
    image, semantic, instances = result.image, result.semantic, result.instances
    with ThreadPoolExecutor(2) as pool:  # packing and drawing release the interpreter lock
        masks = [pool.submit(encode_nifti, mask.array, like=image) for mask in (semantic, instances)]
        snapshot = render_snapshot(image, semantic, instances, caption=caption)
    models = {"models": [asdict(network) for network in result.networks]}
    files = {
        paths.semantic: masks[0].result(),
        paths.instances: masks[1].result(),
        paths.centroids: points_json.to_json(result.centroids, image, models),
        paths.snapshot: snapshot,
    }
    record = run_record(
        result, name=paths.record.name, files={path.name: data for path, data in files.items()}
    )
    _write_set({**files, paths.record: record}, result, paths, overwrite=overwrite)


def _write_set(files: dict[Path, bytes], result: Result, paths: OutputPaths, *, overwrite: bool) -> None:
    """Write the files in their order, the record last; a folder that was made for them goes if they fail."""
    source = result.source
    new = not paths.semantic.parent.exists()
    prepare_folder(paths.semantic.parent)
    try:
        write_together(
            list(files.items()),
            overwrite=overwrite,
            allowed=lambda: refuse_another(paths, source.name, source.sha256),
        )
    except BaseException:
        if new:
            with contextlib.suppress(OSError):
                paths.semantic.parent.rmdir()
        raise
