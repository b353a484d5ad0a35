"""The page docs/latency.md: a prediction, made from counts and from published figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.page import table


@dataclass(frozen=True)
class Device:
    """Peaks of a GPU as its maker states them, dense."""

    name: str
    source: str
    tflops: float = 0.0
    """Tensor cores, float16; 0 where no document of the maker's is at hand."""
    gb_per_second: float = 0.0


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


_QUOTED = (
    "NVIDIA's datasheet `{}`, as NVIDIA quotes it in [TensorRT-LLM](https://github.com/NVIDIA/TensorRT-LLM/blob/"
    "16d2467ea8e3b45d7d9555010c2ad018d006d5c1/tensorrt_llm/auto_parallel/cluster_info.py)"
)
_NONE = "no manufacturer's document at hand"
_ORIN = (
    "[NVIDIA's notes on the accelerator](https://github.com/NVIDIA/Deep-Learning-Accelerator-SW/blob/"
    "1da860ccb9b93f31a15a0325ff78b3938eccd5f9/README.md): 171 TOPS of the GPU in sparse int8; no document of "
    "the bandwidth at hand"
)
DEVICES = (
    Device("L4", _QUOTED.format("l4-datasheet-2595652"), 120, 300),
    Device("A10", _QUOTED.format("nvidia-a10-datasheet"), 125, 600),
    Device("A30", _QUOTED.format("a30-datasheet"), 165, 933),
    Device("A100 PCIe 80 GB", _QUOTED.format("nvidia-a100-datasheet-us-nvidia-1758950-r4-web"), 312, 1935),
    Device("T4", _NONE),
    Device("RTX A4000", _NONE),
    Device("RTX 4090", _NONE),
    Device("Jetson AGX Orin", _ORIN),
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
        242,
        1e3 / 928.731041,
        f"[v3.0]({_LOGS.format('3.0')}/L4x1_TRT/3d-unet-99/Offline), single stream",
        114.456364,
    ),
    Published(
        "Jetson AGX Orin",
        85.5,
        1e3 / 1963.06391,
        f"[v3.1]({_LOGS.format('3.1')}/Orin_TRT/3d-unet-99.9/SingleStream), single stream",
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
{window:,.0f} GFLOP each by the same count. Published results, closed division, NVIDIA, int8; the peaks are of
the sources below, the Orin's half of its sparse one:

{rows}

Scaling by peaks takes for granted that the last column is the same everywhere. The share of the peak needs
the windows of a sample, which the logs do not tell. The L4's fastest sample took {fastest:.0f} ms; were that
{few} windows, the L4 would have reached {low:.0%} of its peak, were it {many}, {high:.0%}. These two are
taken below, for float16, too, where a lower peak is easier to reach. No KiTS19 result was found for the other
GPUs.

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
    known = [device for device in DEVICES if device.tflops]
    rows = [[d.name, *(_range(one, d, (high, low), predict) for one in networks)] for d in known]
    peaks = [
        [d.name, d.source, *((f"{d.tflops:g}", f"{d.gb_per_second:g}") if d in known else ("", ""))]
        for d in DEVICES
    ]
    asked = ["model", "network", "runs", "GFLOP a run", "TFLOP", "GB moved", "launches"]
    parts = [
        _HEAD + "\n".join(table(asked, map(_asked, networks), words=2)),
        _HOW.format(**assumed) + _check(window, low, high) + "\n".join(table(["GPU", *titles], rows)),
        "## Peaks\n\nOnly what the maker states is taken; without it there is no prediction above.\n",
        "\n".join(table(["GPU", "source", "float16 TFLOP/s, dense", "GB/s"], peaks, words=2)),
    ]
    return f"{parts[0]}\n{parts[1]}\n\n{parts[2]}\n{parts[3]}\n"


def _asked(one: dict[str, Any]) -> list[str]:
    flops, moved = (sum(getattr(launch, key) for launch in one["launches"]) for key in ("flops", "bytes"))
    runs = one["runs"]
    told = (str(runs), f"{flops / 1e9:.1f}", f"{flops * runs / 1e12:.2f}", f"{moved * runs / 1e9:.1f}")
    return [one["model"], one["network"], *told, f"{len(one['launches']) * runs:,}"]


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
        [
            one.device,
            one.source,
            f"{one.per_second:.2f}",
            f"{one.tops:g}",
            f"{one.per_second / one.tops / first:.2f}",
        ]
        for one in MLPERF
    ]
    head = ["GPU", "log", "samples a second", "int8 TOPS, dense", "samples per TOPS, A100 = 1"]
    told = {"few": WINDOWS[0], "many": WINDOWS[1], "fastest": MLPERF[1].smallest_ms, "low": low, "high": high}
    return _CHECK.format(window=window / 1e9, rows="\n".join(table(head, rows, words=2)), **told)
