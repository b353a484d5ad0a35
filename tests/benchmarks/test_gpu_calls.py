"""What a scan asks of a GPU is what benchmarks/results/gpu_calls.json says, and no more."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks import gpu_calls
from benchmarks.checkout import ROOT
from spineps_rt.backends.gpu import cuda_devices
from spineps_rt.models import resolve_models

pytestmark = pytest.mark.skipif(cuda_devices() > 0, reason="counted in the simulator")


def test_nothing_goes_up_but_the_volume_the_weights_and_the_mask():
    counts = gpu_calls.count()
    stored = json.loads((ROOT / "benchmarks" / "results" / "gpu_calls.json").read_text())
    assert counts == stored["now"]
    patch = resolve_models(None).semantic.patch
    volume, weights = 2 * math.prod(gpu_calls.SHAPE), 4 * math.prod(patch)
    mask, table, starts = 200 * 420 * 90, 256, 3 * 8 * gpu_calls.WINDOWS
    for back_end, kinds in counts.items():
        assert kinds["copies up"]["bytes"] == volume + weights + mask + table + starts
        assert "execution contexts made" not in kinds  # the first scan's serve all
        networks, before = kinds["networks"]["calls"], stored["before"]["counts"][back_end]
        assert networks == before["networks"]["calls"]
        # one wait a tile, which the search looks at, one a cutout, and one for the classes
        assert (
            kinds["waits for the stream"]["calls"] == networks + 1 < before["waits for the stream"]["calls"]
        )
