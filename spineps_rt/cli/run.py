"""``spineps-rt run``: scans in, masks out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spineps_rt.cli import options as shared
from spineps_rt.cli.progress import ProgressDisplay
from spineps_rt.errors import SpinepsError
from spineps_rt.io.naming import OutputPaths, check_distinct, check_folder_name, check_writable, output_paths
from spineps_rt.io.sets import refuse_another
from spineps_rt.io.streams import file_sha256, open_input, printable
from spineps_rt.options import (
    COUNT_FROM,
    STRICT,
    SUMS,
    EngineOptions,
    LabelingOptions,
    Options,
    PreprocessOptions,
    SemanticOptions,
)

if TYPE_CHECKING:
    from spineps_rt.overlap import ThreeStages
    from spineps_rt.pipeline import Pipeline
    from spineps_rt.results import Predicted, Prepared

_LOG = logging.getLogger(__name__)
Failure = tuple[Path, SpinepsError]
Job = tuple[Callable[[str, float], None], Path, OutputPaths]
"""What a scan's progress is reported to, the scan, where its results go."""


@click.command()
@click.argument("scans", nargs=-1, required=True, metavar="SCAN...", type=click.Path(path_type=Path))
@shared.output_folder
@shared.model
@shared.device
@shared.threads
@shared.overwrite
@click.option(
    "--count-from",
    type=click.Choice(COUNT_FROM),
    default="sacrum",
    show_default=True,
    help="Name the vertebra above a visible sacrum L5, or number from the top as SPINEPS does.",
)
@click.option(
    "--bias-field/--no-bias-field",
    default=PreprocessOptions.bias_field,
    show_default=True,
    help="Correct the bias field (N4) first, as SPINEPS does.",
)
@click.option(
    "--mirror/--no-mirror",
    default=SemanticOptions.mirror,
    show_default=True,
    help="Average over mirrored tiles where the model asks for it; off is 2 to 8 times as fast there.",
)
@click.option(
    "--localize/--no-localize",
    default=SemanticOptions.localize,
    show_default=True,
    help="Run only the tiles that the spine reaches, or all.",
)
@click.option(
    "--sums",
    type=click.Choice(SUMS),
    default=SemanticOptions.sums,
    show_default=True,
    help="What a GPU sums logits in; float16 takes half the memory.",
)
@click.option(
    "--strict",
    type=click.Choice(STRICT),
    help="Make this verdict on the masks, and what is worse, an error; then nothing is written.",
)
@click.option("--any-plane", is_flag=True, help="Accept scans whose slices are not sagittal.")
@shared.verbose
@shared.quiet
def run(
    *,
    scans: tuple[Path, ...],
    output: Path | None,
    model: str | None,
    device: str,
    threads: int,
    overwrite: bool,
    count_from: str,
    bias_field: bool,
    mirror: bool,
    localize: bool,
    sums: str,
    strict: str | None,
    any_plane: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Segment sagittal MR scans of the spine (NIfTI).

    For each SCAN this writes a semantic mask, an instance mask, centroids, a snapshot and a run record, all
    of them or none, into DIR or into the folder derivatives_seg beside the scan. While the networks have one
    scan, the next is read and the last finished and written. A bad scan does not stop the others; the exit
    code is the first failure's.

    \b
    Examples:
      spineps-rt run sub-x_T2w.nii.gz
      spineps-rt run *_T2w.nii.gz -o results --device cpu --threads 4
    """
    check_folder_name(output)
    check_distinct(scans, output)
    options = Options(
        preprocess=PreprocessOptions(bias_field=bias_field),
        semantic=SemanticOptions(mirror=mirror, localize=localize, sums=sums),
        labeling=LabelingOptions(count_from),
        engine=EngineOptions(device, threads),
        any_plane=any_plane,
    )
    progress = ProgressDisplay(quiet=quiet)
    progress.show_logs(verbose=verbose)
    accepted, failures = _accept(scans, output, overwrite=overwrite)
    if accepted:
        from spineps_rt.pipeline import Pipeline  # noqa: PLC0415 (numba and the engines; --help needs neither)

        with Pipeline(model, options=options) as pipeline:
            failures += _segment_all(pipeline, accepted, progress, strict, overwrite=overwrite)
    _conclude(scans, failures, quiet=quiet)


def _accept(
    scans: tuple[Path, ...], folder: Path | None, *, overwrite: bool
) -> tuple[list[tuple[Path, OutputPaths]], list[Failure]]:
    """Sort out before computing the scans that cannot be opened or whose results could not be written."""
    accepted: list[tuple[Path, OutputPaths]] = []
    failures: list[Failure] = []
    for scan in scans:
        paths = output_paths(scan, folder)
        try:
            open_input(scan).close()
            check_writable(paths, overwrite=overwrite)
            if overwrite:
                refuse_another(paths, scan.name, file_sha256(scan) if paths.shared else None)
        except SpinepsError as error:
            failures.append((scan, error))
        else:
            accepted.append((scan, paths))
    return accepted, failures


def _segment_all(
    pipeline: Pipeline,
    scans: list[tuple[Path, OutputPaths]],
    progress: ProgressDisplay,
    strict: str | None,
    *,
    overwrite: bool,
) -> list[Failure]:
    """Segment and write the scans, their stages side by side; collect what failed."""
    jobs = (
        (progress.scan(printable(scan.name), number, len(scans)), scan, paths)
        for number, (scan, paths) in enumerate(scans, 1)
    )
    stages = _stages(pipeline, progress, strict, overwrite=overwrite)
    failures: list[Failure] = []
    run = stages.overlap if len(scans) > 1 else stages.one_by_one
    for (scan, _), done in zip(scans, run(jobs)):
        error = done.exception()
        if isinstance(error, SpinepsError):
            failures.append((scan, error.with_traceback(None)))  # the traceback would hold the scan's arrays
        elif isinstance(error, Exception):  # a bug in one scan must not cost a night's other scans
            _LOG.debug("%s", scan, exc_info=error)
            failures.append((scan, _unexpected(error)))
    progress.clear()
    return failures


def _stages(
    pipeline: Pipeline, progress: ProgressDisplay, strict: str | None, *, overwrite: bool
) -> ThreeStages[Job, Any, Any, None]:
    """What is done with each scan: segment it, write its files, say what they hold."""
    from spineps_rt.overlap import ThreeStages  # noqa: PLC0415
    from spineps_rt.report.table import closing_table  # noqa: PLC0415
    from spineps_rt.report.write import write_outputs  # noqa: PLC0415

    def prepare(job: Job) -> tuple[Job, Prepared]:
        return job, pipeline.prepare(job[1], progress=job[0])

    def predict(prepared: tuple[Job, Prepared]) -> tuple[Job, Predicted]:
        return prepared[0], pipeline.predict(prepared[1])

    def finish(predicted: tuple[Job, Predicted]) -> None:
        (report, _, paths), masks = predicted
        result = pipeline.finish(masks)
        if strict:
            result.quality.demand(strict)
        report("write", 0.0)
        write_outputs(result, paths, overwrite=overwrite)
        report("write", 1.0)
        progress.result(closing_table(result, paths))

    return ThreeStages(prepare, predict, finish)


def _unexpected(error: Exception) -> SpinepsError:
    if isinstance(error, MemoryError):
        return SpinepsError(
            f"Not enough memory ({error}); close other programs or crop the scan to the spine."
        )
    return SpinepsError(
        f"Unexpected {type(error).__name__}: {error}; this is a bug: -v shows where. Please report it."
    )


def _conclude(scans: tuple[Path, ...], failures: list[Failure], *, quiet: bool) -> None:
    """Name what failed; leave with the first failure's exit code in the order of the command line."""
    if not failures:
        return
    ordered = sorted(failures, key=lambda failure: scans.index(failure[0]))
    for scan, error in ordered:
        prefix = f"{scan}: " if len(scans) > 1 and scan.name not in str(error) else ""
        click.echo(f"error: {printable(f'{prefix}{error}')}", err=True)
    if len(scans) > 1 and not quiet:
        names = ", ".join(printable(scan.name) for scan, _ in ordered)
        done = len(scans) - len(failures)
        click.echo(f"{done} of {len(scans)} scans segmented; failed: {names}", err=True)
    raise click.exceptions.Exit(ordered[0][1].exit_code)
