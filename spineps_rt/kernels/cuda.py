"""The kernels of the sliding window and of the cutouts for an NVIDIA GPU, a thread a voxel.

Twins of ``kernels/stitch.py``, ``inference/normalise.py`` and ``kernels/boxes.py``; arrays are numba's device
arrays, C-contiguous. What is called here is put on a stream and done when the stream is synchronised. With
``NUMBA_ENABLE_CUDASIM=1`` all of it runs without a GPU. What is compiled is kept on disk.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import cuda

from spineps_rt.kernels import _rules

numba.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # type: ignore[attr-defined]  # no news for a user
_THREADS = 256
Place = tuple[tuple[int, ...], tuple[bool, ...]]
"""A tile's first voxel, and which of its axes are turned round for the network."""
_mirrored = cuda.jit(device=True)(_rules.mirrored)
_added = cuda.jit(device=True)(_rules.added)
_beats = cuda.jit(device=True)(_rules.beats)
_margin = cuda.jit(device=True)(_rules.margin)


def _launch(kernel: Any, voxels: int, stream: Any, *arguments: Any) -> None:
    if voxels:
        kernel[(voxels + _THREADS - 1) // _THREADS, _THREADS, stream](*arguments)


def probe() -> bool:
    """Compile a kernel, launch it, and tell whether it answered rightly.

    Raises:
        Exception: It cannot be compiled, loaded by the driver, or run.
    """
    halves, words = cuda.to_device(np.arange(3, dtype=np.float16)), cuda.device_array(3, np.int32)
    _launch(_probe, 3, 0, halves, words)
    return words.copy_to_host().tolist() == [1, 3, 5]


@cuda.jit(cache=True)
def _probe(halves: Any, words: Any) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    if n < words.size:
        words[n] = np.int32(2 * np.float32(halves[n]) + 1)


def clear(values: Any, *, stream: Any = 0) -> None:
    """Set every element of an array to zero.

    Args:
        values: Any shape and real dtype, overwritten.
        stream: Where the work is put.
    """
    _launch(_clear, values.size, stream, values.reshape(values.size))


@cuda.jit(cache=True)
def _clear(values: Any) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    if n < values.size:
        values[n] = 0


def add_share(total: Any, values: Any, share: float, *, first: bool, stream: Any = 0) -> None:
    """Add a share of one array to another.

    Args:
        total: float32 of any shape, changed; overwritten where the share is the first.
        values: Float, of the same shape.
        share: What every element is multiplied by.
        first: Whether nothing was added yet.
        stream: Where the work is put.
    """
    flat = (one.reshape(one.size) for one in (total, values))
    _launch(_add_share, total.size, stream, *flat, np.float32(share), first)


@cuda.jit(cache=True)
def _add_share(total: Any, values: Any, share: float, first: bool) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    if n < total.size:
        before = np.float32(0) if first else total[n]
        total[n] = before + share * np.float32(values[n])


def gather_tile(volume: Any, place: Place, scale: tuple[float, float], tile: Any, *, stream: Any = 0) -> None:
    """Cut a normalised tile out of a volume, zeros where it hangs over.

    Args:
        volume: float16 (n0, n1, n2), intensities.
        place: The tile's place in the volume; its first voxel may be negative.
        scale: Mean and standard deviation of the intensities.
        tile: float32 (1, 1, p0, p1, p2), overwritten; rounded to float16 as ``inference.normalise`` does.
        stream: Where the work is put.
    """
    mean, deviation = (np.float32(value) for value in scale)
    _launch(_gather_tile, tile.size, stream, volume, *place, mean, deviation, tile)


@cuda.jit(cache=True)
def _gather_tile(
    volume: Any,
    start: tuple[int, ...],
    turn: tuple[bool, bool, bool],
    mean: float,
    deviation: float,
    tile: Any,
) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    size1, size2 = tile.shape[3], tile.shape[4]
    i, j, k = n // (size1 * size2), n // size2 % size1, n % size2
    if i < tile.shape[2]:
        x = start[0] + _mirrored(i, tile.shape[2], turn[0])
        y = start[1] + _mirrored(j, size1, turn[1])
        z = start[2] + _mirrored(k, size2, turn[2])
        value = np.float32(0)
        if 0 <= x < volume.shape[0] and 0 <= y < volume.shape[1] and 0 <= z < volume.shape[2]:
            value = np.float32(np.float16((np.float32(volume[x, y, z]) - mean) / deviation))
        tile[0, 0, i, j, k] = value


def accumulate(total: Any, logits: Any, weights: Any, place: Place, bad: Any, *, stream: Any = 0) -> None:
    """Add one tile's weighted logits, as :func:`spineps_rt.kernels.stitch.accumulate`.

    Args:
        total: float32 or float16 (classes, n0, n1, n2), changed; axes 0 and 1 of a voxel wrap around.
        logits: Float (1, classes, p0, p1, p2).
        weights: float32 (p0, p1, p2).
        place: The tile's place in the whole volume; the logits of a turned tile are turned back.
        bad: int32 (1,): becomes 1 where a logit is NaN or infinite.
        stream: Where the work is put.
    """
    _launch(_accumulate, weights.size, stream, total, logits, weights, *place, bad)


@cuda.jit(cache=True)
def _accumulate(
    total: Any,
    logits: Any,
    weights: Any,
    start: tuple[int, ...],
    turn: tuple[bool, bool, bool],
    bad: Any,
) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    size1, size2 = weights.shape[1], weights.shape[2]
    i, j, k = n // (size1 * size2), n // size2 % size1, n % size2
    if i < weights.shape[0]:
        x, y, z = (start[0] + i) % total.shape[1], (start[1] + j) % total.shape[2], start[2] + k
        u, v = _mirrored(i, weights.shape[0], turn[0]), _mirrored(j, size1, turn[1])
        w = _mirrored(k, size2, turn[2])
        for c in range(total.shape[0]):
            logit = logits[0, c, u, v, w]
            if not math.isfinite(logit):
                bad[0] = 1
            total[c, x, y, z] = _added(total[c, x, y, z], weights[i, j, k], logit)


def finalise(
    total: Any, classes: Any, box: tuple[tuple[int, ...], ...], margins: Any, axis: int, *, stream: Any = 0
) -> None:
    """Give voxels their class, clear their sums, add margins: :func:`spineps_rt.kernels.stitch.finalise`.

    Args:
        total: float32 or float16 (classes, n0, n1, n2), zeroed where read; axes 0 and 1 wrap around.
        classes: uint8 (N0, N1, N2), written in the box.
        box: Its first voxel in ``classes``, and the first behind it.
        margins: float64 (classes, N of ``axis``, 2), changed.
        axis: 0 or 1; along it lie the rows of the margins.
        stream: Where the work is put.
    """
    low, high = box
    voxels = math.prod(b - a for a, b in zip(low, high))
    _launch(_finalise, voxels, stream, total, classes, low, high, margins, axis)


@cuda.jit(cache=True)
def _finalise(
    total: Any, classes: Any, low: tuple[int, ...], high: tuple[int, ...], margins: Any, axis: int
) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    size1, size2 = high[1] - low[1], high[2] - low[2]
    i, j, z = low[0] + n // (size1 * size2), low[1] + n // size2 % size1, low[2] + n % size2
    if i < high[0]:
        x, y = i % total.shape[1], j % total.shape[2]
        best, chosen = np.float32(total[0, x, y, z]), 0
        second, together = np.float32(-math.inf), best
        total[0, x, y, z] = 0
        for c in range(1, total.shape[0]):
            value = np.float32(total[c, x, y, z])
            if _beats(value, best):
                best, second, chosen = value, best, c
            else:
                second = max(second, value)
            together += value
            total[c, x, y, z] = 0
        classes[i, j, z] = chosen
        if chosen:
            row = j if axis == 1 else i
            lead = _margin(best, second, together / np.float32(total.shape[0]))
            cuda.atomic.add(margins, (chosen, row, 0), 1.0)
            cuda.atomic.add(margins, (chosen, row, 1), lead)


def classify(logits: Any, stride: int, classes: Any, *, stream: Any = 0) -> None:
    """Write the class of every ``s``-th voxel of a tile, as ``logits[:, ::s, ::s, ::s].argmax(0)``.

    Args:
        logits: Float (1, classes, p0, p1, p2).
        stride: Distance of the voxels that are looked at, along every axis.
        classes: uint8 (ceil(p0 / stride), ...), overwritten; of equal logits the first class wins.
        stream: Where the work is put.
    """
    _launch(_classify, classes.size, stream, logits, stride, classes)


@cuda.jit(cache=True)
def _classify(logits: Any, stride: int, classes: Any) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    size1, size2 = classes.shape[1], classes.shape[2]
    i, j, k = n // (size1 * size2), n // size2 % size1, n % size2
    if i < classes.shape[0]:
        x, y, z = i * stride, j * stride, k * stride
        chosen = 0
        for c in range(1, logits.shape[1]):
            if _beats(logits[0, c, x, y, z], logits[0, chosen, x, y, z]):
                chosen = c
        classes[i, j, k] = chosen


def gather_cutouts(labels: Any, table: Any, starts: Any, cutouts: Any, *, stream: Any = 0) -> None:
    """Cut windows out of a label map and rename their labels, zeros where a window hangs over.

    Args:
        labels: uint8 (n0, n1, n2).
        table: uint8 (256,): label -> what the network takes.
        starts: int64 (N, 3): the windows' first voxels; may be negative.
        cutouts: uint8 (N, 1, p0, p1, p2), overwritten.
        stream: Where the work is put.
    """
    _launch(_gather_cutouts, cutouts.size, stream, labels, table, starts, cutouts)


@cuda.jit(cache=True)
def _gather_cutouts(labels: Any, table: Any, starts: Any, cutouts: Any) -> None:
    n: int = cuda.grid(1)  # type: ignore[call-arg]
    size0, size1, size2 = cutouts.shape[2:]
    c, i = n // (size0 * size1 * size2), n // (size1 * size2) % size0
    j, k = n // size2 % size1, n % size2
    if c < cutouts.shape[0]:
        x, y, z = starts[c, 0] + i, starts[c, 1] + j, starts[c, 2] + k
        value = np.uint8(0)
        if 0 <= x < labels.shape[0] and 0 <= y < labels.shape[1] and 0 <= z < labels.shape[2]:
            value = table[labels[x, y, z]]
        cutouts[c, 0, i, j, k] = value
