"""Compose a spine and the body about it on a voxel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spineps_rt import labels as L
from spineps_rt.phantom import background, canal, column, shapes
from spineps_rt.phantom.layout import Vertebra, lay_out, stations
from spineps_rt.phantom.noise import smooth_noise
from spineps_rt.phantom.options import PhantomOptions, Variants
from spineps_rt.phantom.processes import posterior_elements, sacral_elements
from spineps_rt.phantom.tissues import UNSET, Tissue


@dataclass(frozen=True)
class Anatomy:
    """Truth in (P, I, R) axes."""

    semantic: np.ndarray
    """uint8: the 14 structures."""
    instance: np.ndarray
    """uint16: vertebra v, sacrum 26, disc 100 + v, and 200 + v on both endplates of that disc, because
    SPINEPS 2.1.3 names endplates after the disc between them in MR."""
    tissue: np.ndarray
    """uint8: :class:`~spineps_rt.phantom.tissues.Tissue`."""
    affine: np.ndarray
    """float64 (4, 4): voxel index to RAS+ mm."""


@dataclass(frozen=True)
class Grid:
    """Sampling of the phantom's space."""

    shape: tuple[int, int, int]
    spacing: np.ndarray
    origin: np.ndarray

    @property
    def table(self) -> np.ndarray:
        """Origin and spacing as the kernels take them, float64 (2, 3)."""
        return np.ascontiguousarray(np.stack([self.origin, self.spacing]))

    @property
    def affine(self) -> np.ndarray:
        """Voxel index of (P, I, R) arrays to RAS+ mm."""
        affine = np.zeros((4, 4))
        affine[1, 0], affine[2, 1], affine[0, 2] = -self.spacing[0], -self.spacing[1], self.spacing[2]
        affine[:, 3] = self.origin[2], -self.origin[0], -self.origin[1], 1.0
        return affine

    def refined(self, factors: tuple[int, int, int]) -> Grid:
        """The grid whose voxels subdivide this one's; odd factors keep the centres."""
        spacing = self.spacing / factors
        shape = tuple(int(n * f) for n, f in zip(self.shape, factors))
        return Grid(
            (shape[0], shape[1], shape[2]), spacing, self.origin - spacing * (np.array(factors) - 1) / 2.0
        )


def make_anatomy(options: PhantomOptions, *, seed: int) -> Anatomy:
    """Build the truth on the grid that the options ask for.

    Args:
        options: What to build; ``orientation`` is left to :func:`~spineps_rt.phantom.make_phantom`.
        seed: Same seed, same spine; on another grid only the fine roughness of its surfaces differs.

    Returns:
        Label maps and tissue in (P, I, R).
    """
    spine = build_spine(options, seed=seed)
    return sample(spine, plan_grid(spine, options), options.variants, seed=seed)


def build_spine(options: PhantomOptions, *, seed: int) -> list[Vertebra]:
    """Lay out the spine of the options and seed."""
    return lay_out(options.variants, L.VERTEBRAE, np.random.default_rng([seed, 1]))


def plan_grid(spine: list[Vertebra], options: PhantomOptions) -> Grid:
    """Lay the field of view about the levels that were asked for."""
    first, last = (options.level_id(name) for name in options.levels)
    chosen = [v.number for v in spine]
    upper, lower = spine[chosen.index(first)], spine[chosen.index(last)]
    last_lumbar = chosen[chosen.index(L.SACRUM_INSTANCE) - 1]
    if options.sacrum or (options.sacrum is None and last == last_lumbar):
        lower = spine[chosen.index(L.SACRUM_INSTANCE) + 2]
    top = upper.centre[1] - upper.half[1] - options.margin_mm[0]
    bottom = lower.centre[1] + lower.half[1] + options.margin_mm[1]
    inside = np.array([v.centre for v in spine if top <= v.centre[1] <= bottom] or [upper.centre])
    middle = (inside.min(0) + inside.max(0)) / 2.0
    extent = np.array(options.fov_mm, dtype=float)
    room = inside[:, 0].max() - inside[:, 0].min() + 130.0
    extent = np.array(
        [max(extent[0], 40.0) if extent[0] > 0 else room, extent[1] or bottom - top, extent[2] or 70.0]
    )
    centre = np.array([middle[0] + 20.0, (top + bottom) / 2.0, middle[2]]) + np.array(options.offset_mm)
    spacing = np.array(options.spacing, dtype=float)
    n = np.maximum(np.round(extent / spacing), 4).astype(int)
    return Grid((int(n[0]), int(n[1]), int(n[2])), spacing, centre - (n - 1) * spacing / 2.0)


def sample(spine: list[Vertebra], grid: Grid, variants: Variants, *, seed: int) -> Anatomy:
    """Evaluate the spine and its surroundings on a grid.

    Args:
        spine: From :func:`build_spine`.
        grid: Where to evaluate.
        variants: Anatomy.
        seed: The seed of the spine.

    Returns:
        Label maps and tissue in (P, I, R).
    """
    shape = grid.shape
    rough = smooth_noise(np.random.default_rng([seed, 2]), shape, grid.spacing, (7.0, 7.0, 7.0))
    np.clip(0.45 * rough, -1.2, 1.2, out=rough)
    label, owner = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    tissue = np.full(shape, UNSET, np.uint8)
    depth = np.full((2, *shape), 99.0, np.float32)
    shell = np.full(shape, 99.0, np.float32)
    rng = np.random.default_rng([seed, 3])
    segments = _segments(spine, variants, rng)
    shapes.stamp_segments(segments, grid.table, rough, label, owner, depth)
    _stamp_column(spine, grid, variants, rng, (rough, label, owner, depth, shell, tissue))
    _trace(spine, grid, rng, (label, owner, tissue))
    slices = _slices(spine, grid, variants, rng)
    waves = ((22.0, 20.0, 22.0), (6.0, 6.0, 6.0), (3.0, 16.0, 3.2))
    noise = tuple(smooth_noise(rng, shape, grid.spacing, wave) for wave in waves)
    background.fill_background(
        slices, variants.muscle_fat, grid.table, (noise[0], noise[1], noise[2]), (label, depth, shell), tissue
    )
    owner[label == 0] = 0
    owner[(label == L.CORD) | (label == L.CANAL)] = 0
    return Anatomy(label, owner, tissue, grid.affine)


def _segments(spine: list[Vertebra], variants: Variants, rng: np.random.Generator) -> np.ndarray:
    """Every posterior element of the spine, float64 (n, 19)."""
    parts = []
    for k, v in enumerate(spine):
        if v.number == L.SACRUM_INSTANCE:
            parts.append(sacral_elements(v, variants.scale, rng, coccyx=variants.coccyx))
        else:
            parts.append(posterior_elements(v, spine[k + 1], variants.scale, rng))
    return np.ascontiguousarray(np.concatenate(parts))


def _body_row(spine: list[Vertebra], k: int, variants: Variants, rng: np.random.Generator) -> np.ndarray:
    """Row of one body for the column's kernel."""
    v, row = spine[k], np.zeros(column.BODY_COLUMNS)
    row[0:3], row[3:12], row[12:15] = v.centre, v.frame.ravel(), v.half
    sacral = v.number == L.SACRUM_INSTANCE
    hollow = (0.06 if v.level > 8 else 0.03) * v.half[1]
    row[column.WEDGE] = v.wedge
    row[column.HOLLOW_TOP] = hollow * rng.uniform(0.6, 1.6) + v.collapse
    row[column.HOLLOW_BOTTOM] = hollow * rng.uniform(0.8, 1.9) + 0.5 * v.collapse
    row[column.WAIST] = 0.04 if sacral else rng.uniform(0.06, 0.13)
    row[column.LIP] = 0.0 if sacral else 0.4 + 4.0 * variants.osteophytes * rng.uniform(0.3, 1.0)
    row[column.OWNER] = v.number
    row[column.LABEL] = L.SACRUM if sacral else L.CORPUS
    row[column.VEIN] = 0.0 if sacral or v.level < 9 else rng.uniform(0.0, 2.0)
    above = spine[k - 1] if k else v
    if k and above.number != L.SACRUM_INSTANCE and not _is_fused(above, variants):
        row[column.TOP_PLATE] = L.ENDPLATE_OFFSET + above.number
    if not sacral and not _is_fused(v, variants):
        row[column.BOTTOM_PLATE] = L.ENDPLATE_OFFSET + v.number
    return row


def _is_fused(v: Vertebra, variants: Variants) -> bool:
    return v.number != L.SACRUM_INSTANCE and L.VERTEBRAE[v.number] in variants.fused


def _disc_row(v: Vertebra, below: Vertebra, variants: Variants, rng: np.random.Generator) -> np.ndarray:
    """Row of the disc below a vertebra for the column's kernel."""
    row = np.zeros(column.DISC_COLUMNS)
    sacral = v.number == L.SACRUM_INSTANCE
    name = L.VERTEBRAE[v.number]
    worn = not sacral and (
        name in variants.degenerated or name in variants.bridged or name in variants.missing_discs
    )
    if _is_fused(v, variants):
        row[column.MODE] = column.FUSED
    elif not sacral and name in variants.bridged:
        row[column.MODE] = column.BRIDGED
    elif not sacral and name in variants.missing_discs:
        row[column.MODE] = column.MISSING
    row[column.BULGE] = rng.uniform(0.2, 1.2) + (1.0 if worn else 0.0)
    if not sacral and name in variants.herniated:
        row[column.HERNIA] = rng.uniform(2.5, 5.0)
    row[column.HERNIA_SIDE] = rng.normal(0.0, 4.0)
    healthy = Tissue.NUCLEUS if rng.random() < 0.7 else Tissue.NUCLEUS_MODERATE
    row[column.NUCLEUS] = Tissue.NUCLEUS_DARK if worn or sacral else healthy
    row[column.CLEFT] = rng.uniform(0.0, 0.08) if v.level > 18 else 0.0
    row[column.DISC_OWNER] = v.number if sacral else L.DISC_OFFSET + v.number
    row[column.DISC_LABEL] = L.SACRUM if sacral else L.DISC
    row[column.UPPER_OWNER], row[column.LOWER_OWNER] = v.number, below.number
    return row


def _stamp_column(
    spine: list[Vertebra],
    grid: Grid,
    variants: Variants,
    rng: np.random.Generator,
    maps: tuple[np.ndarray, ...],
) -> None:
    """Stamp bodies, then discs."""
    rough, label, owner, depth, shell, tissue = maps
    thickness = 0.5 * max(1.5, 1.1 * float(grid.spacing[1]))  # a plate thinner than a voxel would have holes
    rows = [_body_row(spine, k, variants, rng) for k in range(len(spine))]
    state = (depth, shell, tissue)
    for row in rows:
        column.stamp_body(row, (grid.table, thickness), rough, label, owner, state)
    for k in range(len(spine) - 1):
        disc = _disc_row(spine[k], spine[k + 1], variants, rng)
        column.stamp_disc((rows[k], rows[k + 1], disc), (grid.table, thickness), rough, label, owner, state)


def _trace(spine: list[Vertebra], grid: Grid, rng: np.random.Generator, maps: tuple[np.ndarray, ...]) -> None:
    """Trace canal, cord and roots."""
    path, frame, radii, levels = stations(spine)
    table = np.zeros((len(path), canal.COLUMNS))
    table[:, 0:3], table[:, 3:12], table[:, 12:14] = path, frame.reshape(-1, 9), radii
    knots = [0, 2, 5.5, 8, 10, 17, 19, 20]
    person = np.exp(rng.normal(0.0, 0.05))
    cone = 20.3 + rng.normal(0.0, 0.25)
    taper = np.clip((cone - levels) / 0.9, 0.0, 1.0) ** 0.6
    table[:, 14] = np.interp(levels, knots, [5.5, 4.0, 3.7, 3.5, 3.2, 3.2, 3.9, 3.6]) * taper * person
    table[:, 15] = np.interp(levels, knots, [6.5, 5.4, 6.6, 5.8, 4.2, 4.0, 4.7, 4.2]) * taper * person
    sac_end = 27.4 + rng.normal(0.0, 0.3)
    table[:, 16] = np.clip((sac_end - levels) / 1.4, 0.0, 1.0) ** 0.5 * np.interp(
        levels, [20, 25, 27], [0.97, 0.93, 0.8]
    )
    table[:, 17] = np.interp(levels, [2, 8, 13, 18, 20], [0.0, 0.0, 1.6, 0.2, -1.0])
    table = table[levels < 28.6]
    m = 16
    angle = np.linspace(-2.3, 2.3, m)
    place = np.sqrt(rng.uniform(0.15, 0.75, m))
    roots = np.stack(
        [
            place * np.cos(angle),
            place * np.sin(angle),
            rng.uniform(0.02, 0.08, m),
            rng.uniform(0, 6.3, m),
            rng.uniform(0.45, 0.9, m),
        ],
        axis=1,
    )
    canal.trace_canal(np.ascontiguousarray(table), roots, grid.table, *maps)


def _slices(spine: list[Vertebra], grid: Grid, variants: Variants, rng: np.random.Generator) -> np.ndarray:
    """What the background must know of each slice along I, float64 (I, 12)."""
    centres = np.array([v.centre for v in spine])
    half = np.array([v.half for v in spine])
    levels = np.array([v.level for v in spine])
    y = grid.origin[1] + np.arange(grid.shape[1]) * grid.spacing[1]
    order = np.argsort(centres[:, 1])
    down = centres[order, 1]
    rows = np.zeros((len(y), background.COLUMNS))
    column_at = np.interp(y, down, centres[order, 0])
    rows[:, 0], rows[:, 1] = column_at, np.interp(y, down, centres[order, 2])
    rows[:, 2], rows[:, 3] = np.interp(y, down, half[order, 0]), np.interp(y, down, half[order, 2])
    level = np.interp(y, down, levels[order])
    rows[:, 8] = level
    rows[:, 11] = down[0] - half[0, 1] - 9.0 - y
    reach = np.interp(level, [2, 7, 13, 18, 22, 26, 28], [40, 58, 56, 52, 66, 52, 30]) * variants.scale
    rows[:, 9] = reach
    smooth = np.exp(-0.5 * ((y[:, None] - y[None, :]) / 30.0) ** 2)
    smooth /= smooth.sum(1, keepdims=True)
    rows[:, 7] = variants.fat_mm * np.interp(level, [2, 8, 15, 22, 26, 30], [0.6, 0.8, 0.7, 0.9, 1.3, 1.5])
    rows[:, 4] = smooth @ (column_at + reach + 9.0 + rows[:, 7])
    deep = np.interp(level, [2, 7, 10, 14, 22, 27], [120, 110, 190, 225, 215, 215]) * variants.scale
    rows[:, 5] = rows[:, 4] - deep - 2.0 * variants.fat_mm
    rows[:, 6] = np.interp(level, [2, 6, 9, 13, 20, 27], [70, 65, 190, 185, 165, 185]) * variants.scale
    rows[:, 10] = rng.normal(0.0, 2.0)
    return rows
