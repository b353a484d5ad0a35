"""The page docs/latency.md: a prediction, made from counts and from published figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Device:
    """Published peaks of a GPU, dense."""

    name: str
    tflops: float
    """Tensor cores, float16."""
    gb_per_second: float
    source: str


@dataclass(frozen=True)
class Published:
    """A result of MLPerf Inference, 3D-UNet on KiTS19."""

    device: str
    tops: float
    """Peak in int8, dense, in which these results were computed."""
    per_second: float
    """Samples."""
    source: str
    smallest_ms: float = 0.0
    """Latency of the smallest sample, where the log tells it."""


DEVICES = (
    Device("T4", 65.1, 320, "[hmc-tech.com](https://hmc-tech.com/gpu/nvidia-a16-vs-nvidia-t4)"),
    Device(
        "L4",
        121,
        300,
        "[grokipedia.com](https://grokipedia.com/page/NVIDIA_L4_vs_L40S): 242 TFLOP/s with sparsity, halved",
    ),
    Device(
        "RTX A4000",
        76.7,
        448,
        "NVIDIA's data sheet as quoted by [ecer.com](https://www.ecer.com/corp/details-uuuedqa-p1bsb03-pci-"
        "express-3-0-x16-nvidia-rtx-a4000-16g-graphics-card-for-professional-video-editing.html): "
        "153.4 TFLOP/s with sparsity, halved",
    ),
    Device(
        "RTX 4090",
        165.2,
        1008,
        "[waredb.com](https://waredb.com/processor/nvidia-geforce-rtx-4090), sums in float32",
    ),
    Device(
        "Jetson AGX Orin",
        42.5,
        204.8,
        "NVIDIA's technical brief as quoted by [mzph.cn](http://mzph.cn/web/30785.shtml): 170 TOPS in sparse "
        "int8, a quarter of it; no source found for the bandwidth, which is that of 256 bits of LPDDR5-6400",
    ),
)
_LOGS = "https://github.com/mlcommons/inference_results_v{}/tree/main/closed/NVIDIA/results"
MLPERF = (
    Published(
        "A100 PCIe 80 GB",
        624,
        3.50071,
        f"[v3.0]({_LOGS.format('3.0')}/A100-PCIe-80GBx1_TRT/3d-unet-99.9/Offline), offline",
    ),
    Published(
        "L4",
        242.5,
        1e3 / 928.731041,
        f"[v3.0]({_LOGS.format('3.0')}/L4x1_TRT/3d-unet-99/Offline), single stream",
        114.456364,
    ),
    Published(
        "Jetson AGX Orin",
        85,
        1e3 / 1963.06391,
        f"[v3.1]({_LOGS.format('3.1')}/Orin_TRT/3d-unet-99.9/SingleStream), single stream",
        261.603389,
    ),
)
WINDOWS = (4, 9)
"""Windows of the smallest KiTS19 sample: 1 x 2 x 2 or 1 x 3 x 3. Not published; assumed."""
_HEAD = """\
# Expected latency on GPUs

**A prediction, not a measurement.** No GPU was at hand. `python -m benchmarks.prediction` makes this page:
the networks run on PyTorch's meta device, which computes shapes alone, and every launch is counted with its
operations and the bytes that it moves. Measure with `spineps-rt bench` before you rely on it.

## What a scan asks for

| model | network | runs | GFLOP a run | TFLOP | GB moved | launches |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
"""
_HOW = """
## How

A run takes the sum over its launches of the longer of two times, operations / (peak x utilisation) and
bytes / ({bandwidth:g} x bandwidth), and {launch:g} us a launch; both numbers are assumed. Launches are
convolutions, norms (statistics and application, activation included), additions and concatenations. Values
are float16. Host work, copies to the GPU and stitching are left out: the CPU's stages stand in the
[benchmarks](../benchmarks/README.md).

The scan is assumed: {scan} voxels of {spacing} mm along P, I, R, {vertebrae} vertebrae, all of it signal.
*Official size* is nnU-Net's usual 3d_fullres network, six stages of 32 to 320 features, at
{official_spacing} mm with a step of {step:g}; its patch of {patch} is assumed, because SPINEPS's plans are
not at hand. Its instance network is SPINEPS's of 10 channels and width 16 with cutouts of {cutout}. Mirrored
means all three axes, {mirrored} runs a tile. The counts of operations for the embedded networks equal those
in their manifests, or no page is written.

"""
_CHECK = """\
## The check on utilisation

MLPerf Inference's 3D-UNet (KiTS19) has the same stages and features, in windows of 128 x 128 x 128:
{window:,.0f} GFLOP each by the same count. Published results, closed division, NVIDIA, int8:

| GPU | samples a second | int8 TOPS, dense | samples per TOPS, A100 = 1 | log |
| --- | ---: | ---: | ---: | --- |
{rows}

Scaling by peaks takes for granted that the fourth column is the same everywhere. The share of the peak needs
the windows of a sample, which the logs do not tell. The L4's fastest sample took {fastest:.0f} ms; were that
{few} windows, the L4 would have reached {low:.0%} of its peak, were it {many}, {high:.0%}. These two are
taken below, for float16, too, where a lower peak is easier to reach. No KiTS19 result was found for the T4,
the RTX A4000 and the RTX 4090.

## Prediction: seconds of a scan's networks

From {high:.0%} to {low:.0%} utilisation.

"""


def page(
    networks: list[dict[str, Any]],
    *,
    window: int,
    predict: Callable[..., float],
    assumed: dict[str, Any],
) -> str:
    """Write the page.

    Args:
        networks: Model, network, launches of one run, runs per scan.
        window: Operations of one 128 x 128 x 128 window of the official-size network, which is MLPerf's.
        predict: Seconds of launches, from ``tflops``, ``gb_per_second`` and ``utilisation``.
        assumed: What the text tells of scan, networks and GPUs.

    Returns:
        Markdown.
    """
    low, high = (_utilisation(MLPERF[1], count, window) for count in WINDOWS)
    titles = [f"{one['model']}, {one['network']}" for one in networks]
    rows = [_row(d.name, *(_range(one, d, (high, low), predict) for one in networks)) for d in DEVICES]
    peaks = [_row(d.name, f"{d.tflops:g}", f"{d.gb_per_second:g}", d.source) for d in DEVICES]
    parts = [
        _HEAD + "\n".join(map(_asked, networks)),
        _HOW.format(**assumed) + _check(window, low, high) + _row("GPU", *titles),
        "| --- |" + " ---: |" * len(networks),
        *rows,
        "\n## Peaks\n\n| GPU | float16 TFLOP/s, dense | GB/s | source |\n| --- | ---: | ---: | --- |",
        *peaks,
    ]
    return "\n".join(parts) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _asked(one: dict[str, Any]) -> str:
    flops, moved = (sum(getattr(launch, key) for launch in one["launches"]) for key in ("flops", "bytes"))
    runs = one["runs"]
    told = (str(runs), f"{flops / 1e9:.1f}", f"{flops * runs / 1e12:.2f}", f"{moved * runs / 1e9:.1f}")
    return _row(one["model"], one["network"], *told, f"{len(one['launches']) * runs:,}")


def _range(
    one: dict[str, Any], device: Device, utilisations: tuple[float, float], predict: Callable[..., float]
) -> str:
    peaks = {"tflops": device.tflops, "gb_per_second": device.gb_per_second}
    ends = [one["runs"] * predict(one["launches"], utilisation=u, **peaks) for u in utilisations]
    return " to ".join(f"{seconds:.3g}" for seconds in ends)


def _utilisation(result: Published, windows: int, window: int) -> float:
    """Share of the int8 peak that the smallest sample got."""
    return windows * window / (result.smallest_ms / 1e3) / (result.tops * 1e12)


def _check(window: int, low: float, high: float) -> str:
    first = MLPERF[0].per_second / MLPERF[0].tops
    rows = [
        _row(
            one.device,
            f"{one.per_second:.2f}",
            f"{one.tops:g}",
            f"{one.per_second / one.tops / first:.2f}",
            one.source,
        )
        for one in MLPERF
    ]
    told = {"few": WINDOWS[0], "many": WINDOWS[1], "fastest": MLPERF[1].smallest_ms, "low": low, "high": high}
    return _CHECK.format(window=window / 1e9, rows="\n".join(rows), **told)
