"""docs/latency.md is what its script writes. Needs [export]; skipped without it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch comes with [export]")
pytest.importorskip("onnx", reason="onnx comes with [export]")

from benchmarks import prediction


def test_the_page_is_that_of_its_script(tmp_path, monkeypatch):
    """Counts of the embedded networks equal those in their manifests, or this raises."""
    monkeypatch.setattr(prediction, "PAGE", tmp_path / "latency.md")
    there = prediction.Path(prediction.__file__).parents[1] / "docs" / "latency.md"
    prediction.main()
    assert (tmp_path / "latency.md").read_text(encoding="utf-8") == there.read_text(encoding="utf-8")


def test_a_launch_takes_the_longer_of_arithmetic_and_memory():
    compute, memory = prediction.Launch(10**12, 1), prediction.Launch(1, 3 * 10**9)
    peaks = {"tflops": 10, "gb_per_second": 400, "utilisation": 0.5}
    start = prediction.LAUNCH_SECONDS
    assert prediction.seconds([compute], **peaks) == pytest.approx(0.2 + start)
    assert prediction.seconds([memory], **peaks) == pytest.approx(0.01 + start)
    assert prediction.seconds([compute, memory], **peaks) == pytest.approx(0.21 + 2 * start)
