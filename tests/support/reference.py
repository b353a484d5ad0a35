"""Slow, obvious twins of the kernels, in numpy and scipy, and the small label maps to compare them on."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

LEVEL = {6: 1, 18: 2, 26: 3}


def label_maps():
    """Name -> small label map: every type, memory order and degenerate shape that kernels must take."""
    rng = np.random.default_rng(3)
    sparse = rng.integers(0, 4, (5, 6, 7)) * (rng.random((5, 6, 7)) < 0.6)
    blobs = ndimage.gaussian_filter(rng.normal(size=(3, 8, 7, 9)), (0, 1, 1, 1)).argmax(axis=0)
    high = np.where(sparse == 3, 255, sparse)
    return {
        "uint8": sparse.astype(np.uint8),
        "uint16": blobs.astype(np.uint16),
        "int64": blobs,
        "int32": sparse.astype(np.int32),
        "bool": sparse > 0,
        "label 255": high.astype(np.uint8),
        "label 65535": np.where(sparse == 3, 65535, sparse).astype(np.uint16),
        "Fortran order": np.asfortranarray(blobs.astype(np.uint8)),
        "transposed": sparse.astype(np.uint16).transpose(2, 0, 1),
        "strided": blobs.astype(np.uint8)[::2, ::-1, 1:],
        "all full": np.full((3, 4, 5), 7, np.uint8),
        "all empty": np.zeros((3, 4, 5), np.uint8),
        "one voxel": np.ones((1, 1, 1), np.uint8),
        "one slice": sparse.astype(np.uint8)[:1],
        "one column": sparse.astype(np.uint8)[:, :, 2:3],
        "no slices": np.zeros((0, 4, 5), np.uint8),
        "no rows": np.zeros((3, 0, 5), np.uint8),
        "no columns": np.zeros((3, 4, 0), np.uint8),
    }


def present(labels):
    return [int(value) for value in np.unique(labels) if value]


def structure(connectivity):
    return ndimage.generate_binary_structure(3, LEVEL[connectivity])


def label(labels, connectivity, merged=False):
    """Components label by label, then renumbered by their first voxel in C order."""
    found = np.zeros(labels.shape, np.int64)
    masks = [labels != 0] if merged else [labels == value for value in present(labels)]
    for mask in masks:
        numbers, _ = ndimage.label(mask, structure(connectivity))
        found[mask] = numbers[mask] + found.max(initial=0)
    values, first = np.unique(found, return_index=True)
    order = [value for _, value in sorted(zip(first, values)) if value]
    result = np.zeros(labels.shape, np.uint32)
    for number, value in enumerate(order, start=1):
        result[found == value] = number
    return result, len(order)


def kept(labels, connectivity, keep=None, minimum=0, per_label=True):
    """Mask of the largest components, the earlier first among equals, keep of each label or in all."""
    ids, n = label(labels, connectivity)
    sizes = {number: int((ids == number).sum()) for number in range(1, n + 1)}
    result, counts = np.zeros(labels.shape, bool), {}
    for number in sorted(sizes, key=lambda number: -sizes[number]):
        owner = int(labels[ids == number][0]) if per_label else 0
        if sizes[number] < minimum or (keep is not None and counts.get(owner, 0) >= keep):
            continue
        counts[owner] = counts.get(owner, 0) + 1
        result[ids == number] = True
    return result


def sizes_boxes_centroids(ids, n):
    sizes, boxes = np.zeros(n + 1, np.int64), np.zeros((n + 1, 3, 2), np.int32)
    centroids = np.full((n + 1, 3), np.nan)
    for value in range(n + 1):
        voxels = np.argwhere(ids == value)
        if len(voxels):
            sizes[value] = len(voxels)
            boxes[value] = np.stack([voxels.min(axis=0), voxels.max(axis=0) + 1], axis=1)
            centroids[value] = voxels.sum(axis=0) / len(voxels)
    return sizes, boxes, centroids


def joint_counts(a, b):
    table = np.zeros((int(a.max(initial=0)) + 1, int(b.max(initial=0)) + 1), np.int64)
    np.add.at(table, (a.ravel().astype(np.int64), b.ravel().astype(np.int64)), 1)
    return table


def contacts(labels, connectivity):
    """Faces between labels; pairs joined by edges or corners only count 0."""
    found = {}
    for voxel in np.argwhere(labels):
        for step in np.argwhere(structure(connectivity)) - 1:
            other = voxel + step
            if tuple(step) <= (0, 0, 0) or (other < 0).any() or (other >= labels.shape).any():
                continue
            pair = sorted((int(labels[tuple(voxel)]), int(labels[tuple(other)])))
            if pair[0] and pair[0] != pair[1]:
                found[tuple(pair)] = found.get(tuple(pair), 0) + int(np.abs(step).sum() == 1)
    return found


def dilate(labels, iterations, connectivity, mask=None):
    """Label after label into the background, and the mask applied after each, as TPTBox without cropping."""
    result = labels.copy()
    for _ in range(iterations):
        for value in present(labels):
            grown = ndimage.binary_dilation(result == value, structure(connectivity))
            result[grown & (result == 0)] = value
            if mask is not None:
                result[mask == 0] = 0
    return result


def erode(labels, iterations, connectivity):
    result = np.zeros_like(labels)
    for value in present(labels):
        kept = ndimage.binary_erosion(labels == value, structure(connectivity), iterations=iterations)
        result[kept] = value
    return result


def fill_holes(labels, ids=None):
    result = labels.copy()
    for value in present(labels) if ids is None else ids:
        filled = ndimage.binary_fill_holes(labels == value)
        result[filled & (result == 0)] = value
    return result


def map_labels(labels, mapping, keep_others=True):
    def new(value):
        return mapping.get(int(value), int(value) if keep_others else 0)

    return np.array([new(value) for value in labels.ravel()], np.int64).reshape(labels.shape)


def convolve_one_hot(labels, weights, bias):
    """float64 (n0, n1, n2, features): every channel's mask correlated with its kernel, zeros outside."""
    known = np.where(labels < weights.shape[1], labels, 0)
    answer = np.zeros((*labels.shape, len(weights))) + bias
    for feature, kernels in enumerate(weights):
        for channel, kernel in enumerate(kernels):
            mask = (known == channel).astype(float)
            answer[..., feature] += ndimage.correlate(mask, kernel.astype(float), mode="constant")
    return answer
