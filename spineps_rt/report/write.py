"""Writing: all files of a scan appear together or not at all."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from spineps_rt._version import __version__
from spineps_rt.io.atomic import prepare_folder, write_together
from spineps_rt.io.naming import OutputPaths
from spineps_rt.io.nifti import encode_nifti
from spineps_rt.report import points_json
from spineps_rt.report.record import run_record
from spineps_rt.report.snapshot import Caption, render_snapshot
from spineps_rt.report.table import span
from spineps_rt.results import Result


def write_outputs(result: Result, paths: OutputPaths) -> None:
    """Write masks, centroids, snapshot and run record: all of them or none.

    Args:
        result: The finished run.
        paths: From :func:`output_paths`; the folder is made if need be, files there are replaced.

    Raises:
        OutputError: Something cannot be written; then nothing was.
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
    items = [
        (paths.semantic, masks[0].result()),
        (paths.instances, masks[1].result()),
        (paths.centroids, points_json.to_json(result.centroids, image, models)),
        (paths.snapshot, snapshot),
        (paths.record, run_record(result, files=[path.name for path in paths.all()])),
    ]
    new = not paths.semantic.parent.exists()
    prepare_folder(paths.semantic.parent)
    try:
        write_together(items)
    except BaseException:
        if new:
            with contextlib.suppress(OSError):
                paths.semantic.parent.rmdir()
        raise
