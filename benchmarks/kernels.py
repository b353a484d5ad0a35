"""Kernels against the libraries of the field: ``python -m benchmarks.kernels`` (extra [bench], and TPTBox).

Maps are made here, so that anyone can repeat it: the truth of two phantoms and two kinds of noise. Each core
count is a process of its own, bound to so many cores, so that every library sees the same machine. Answers
are compared before anything is timed; then the runners of a job take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import RESULTS, circumstances, save

if TYPE_CHECKING:
    from benchmarks.kernel_contests import Contest

PACKAGES = ("connected-components-3d", "fastremap", "fill-voids", "scipy", "scikit-image", "TPTBox")
TURNS = {0.2: 6, 3.0: 3}
"""Seconds -> runs of whoever takes less; who takes more than all of them runs once."""


def maps() -> dict[str, np.ndarray]:
    """Name -> label map."""
    from spineps_rt.phantom import PhantomOptions, make_anatomy  # noqa: PLC0415 - not before the cores are set

    whole = make_anatomy(
        PhantomOptions(levels=("C2", "L5"), spacing=(0.75, 0.75, 1.65), fov_mm=(180, 0, 112)), seed=1
    )
    lumbar = make_anatomy(
        PhantomOptions(levels=("T11", "L5"), spacing=(1, 1, 4), fov_mm=(381, 381, 76)), seed=2
    )
    rng, shape = np.random.default_rng(0), (128, 128, 128)
    return {
        "whole spine, structures": whole.semantic,
        "whole spine, instances": whole.instance,
        "lumbar spine, structures": lumbar.semantic,
        "noise, 1 label, 3/4 full": (rng.random(shape) < 0.75).astype(np.uint8),
        "noise, 4 labels, 4/5 full": (rng.integers(1, 5, shape) * (rng.random(shape) < 0.8)).astype(np.uint8),
    }


def measure(name: str, labels: np.ndarray) -> dict[str, Any]:
    """Time every job on one map with the cores that this process has."""
    from benchmarks.kernel_contests import label_map_contests  # noqa: PLC0415
    from benchmarks.network_contests import CONTESTS  # noqa: PLC0415

    labels = np.ascontiguousarray(labels)
    contests = [*label_map_contests(labels), *(make(labels) for make in CONTESTS.get(name, []))]
    return {
        "map": name,
        "shape": labels.shape,
        "dtype": str(labels.dtype),
        "jobs": [hold(name, contest) for contest in contests],
    }


def hold(name: str, contest: Contest) -> dict[str, Any]:
    """Compare the answers of a contest's runners, then let them take turns."""
    start = time.perf_counter()
    answer = contest.ours()
    first = time.perf_counter() - start
    times: dict[str, list[float]] = {"spineps-rt": []}
    different = []
    for rival, run in contest.rivals.items():
        start = time.perf_counter()
        theirs = run()
        times[rival] = [time.perf_counter() - start]
        if not contest.same(answer, theirs):
            different.append(rival)
    if set(different) - {"fill-voids"}:
        raise SystemExit(f"{contest.job} on {name}: {different} answered differently; nothing was written.")
    for turn in range(max(TURNS.values())):
        for runner, run in {"spineps-rt": contest.ours, **contest.rivals}.items():
            taken = times[runner]
            if not taken or turn + 1 < max((n for limit, n in TURNS.items() if taken[0] < limit), default=1):
                start = time.perf_counter()
                run()
                taken.append(time.perf_counter() - start)
    seconds = {runner: round(median(values), 6) for runner, values in times.items()}
    return {"job": contest.job, "first": round(first, 4), "seconds": seconds, "different": different}


def main() -> None:
    """Measure and write the figures: a process for cold kernels, one for one core, one for two.

    With arguments CORES MAPS, measure the first maps in this process and print; with three files of what
    those processes printed (cold, one core, two cores), only write.
    """
    words = sys.argv[1:]
    if len(words) == 2:
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[-int(words[0]) :])
        found = [measure(name, labels) for name, labels in list(maps().items())[: int(words[1])]]
        print(json.dumps(found))
        return
    begun = circumstances("kernels", *PACKAGES)
    texts = [Path(word).read_text(encoding="utf-8") for word in words]
    if not texts:
        with tempfile.TemporaryDirectory() as cache:
            settings = {**os.environ, "NUMBA_CACHE_DIR": cache}
            for numbers in (("2", "1"), ("1", "9"), ("2", "9")):
                command = [sys.executable, "-m", "benchmarks.kernels", *numbers]
                texts.append(subprocess.run(command, env=settings, check=True, stdout=-1, text=True).stdout)
    cold, one, two = (json.loads(text.splitlines()[-1]) for text in texts)
    document = {
        **begun,
        "runs": {"1": one, "2": two},
        "cold": {job["job"]: job["first"] for job in cold[0]["jobs"]},
        "warm": {job["job"]: job["first"] for job in two[0]["jobs"]},
    }
    save(document, RESULTS / "kernels.json")


if __name__ == "__main__":
    main()
