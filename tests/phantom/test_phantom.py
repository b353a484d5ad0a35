from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import ndimage

from spineps_rt import labels as L
from spineps_rt.cli.phantom import phantom as command
from spineps_rt.errors import ContractError, OutputError, OutputExistsError
from spineps_rt.phantom import (
    T1W,
    T2W,
    PhantomOptions,
    Tissue,
    Variants,
    make_anatomy,
    make_phantom,
    random_contrast,
    random_options,
    render,
)
from spineps_rt.volume import reorient

LUMBAR = PhantomOptions(("T12", "L5"), spacing=(1.2, 1.2, 1.2), fov_mm=(150, 0, 100))
ANISOTROPIC = replace(LUMBAR, spacing=(2, 2.1, 3.5), levels=("L1", "L3"))
CUBE = np.ones((3, 3, 3), bool)


@pytest.fixture(scope="module")
def lumbar():
    return make_anatomy(LUMBAR, seed=5)


@pytest.fixture(scope="module")
def whole():
    options = PhantomOptions(("C2", "L5"), spacing=(1.3, 1.3, 1.6), fov_mm=(0, 0, 84))
    return make_anatomy(options, seed=2)


def components(mask):
    sizes = np.bincount(ndimage.label(mask, CUBE)[0].ravel())[1:]
    return int((sizes > 20).sum())


def centre(mask):
    return np.argwhere(mask).mean(0)


def test_same_seed_same_phantom():
    options = replace(LUMBAR, spacing=(1.5, 1.5, 4.0))
    a, b, c = (make_phantom(options, seed=s) for s in (1, 1, 2))
    for one, two in zip(vars(a).values(), vars(b).values()):
        assert np.array_equal(one.array, two.array)
    assert not np.array_equal(a.semantic.array, c.semantic.array)


def test_every_structure_and_every_instance_is_there(whole):
    assert set(np.unique(whole.semantic)) == {0, *L.STRUCTURES}
    vertebrae = [*range(2, 25)]
    found = set(np.unique(whole.instance)) - {0}
    assert found == {*vertebrae, 26, *(100 + v for v in vertebrae), *(200 + v for v in vertebrae)}


def test_instances_agree_with_structures(whole):
    semantic, instance = whole.semantic, whole.instance
    vertebra = np.isin(semantic, L.VERTEBRA_STRUCTURES)
    assert np.array_equal(vertebra, (instance > 0) & (instance < 25))
    assert np.array_equal(semantic == L.SACRUM, instance == L.SACRUM_INSTANCE)
    assert np.array_equal(semantic == L.DISC, (instance > 100) & (instance < 200))
    assert np.array_equal(semantic == L.ENDPLATE, instance > 200)


def test_every_vertebra_has_its_parts_and_one_body(whole):
    paired = range(L.COSTAL_LEFT, L.INFERIOR_ARTICULAR_RIGHT + 1)
    for v in range(2, 25):
        mine = whole.instance == v
        assert components(mine & (whole.semantic == L.CORPUS)) == 1, L.VERTEBRAE[v]
        for part in (L.ARCUS, L.SPINOUS, *paired):
            assert (mine & (whole.semantic == part)).sum() > 20, (L.VERTEBRAE[v], part)
        assert components(mine) == 1, L.VERTEBRAE[v]


def test_order_sides_and_places(whole):
    corpora = np.array([centre((whole.instance == v) & (whole.semantic == L.CORPUS)) for v in range(2, 25)])
    assert (np.diff(corpora[:, 1]) > 0).all()
    discs = np.array([centre(whole.instance == 100 + v)[1] for v in range(2, 24)])
    assert (corpora[:-1, 1] < discs).all() and (discs < corpora[1:, 1]).all()
    for v, corpus in zip(range(2, 25), corpora):
        mine = whole.instance == v
        assert centre(mine & (whole.semantic == L.SPINOUS))[0] > corpus[0] + 10
        for left in (L.COSTAL_LEFT, L.SUPERIOR_ARTICULAR_LEFT, L.INFERIOR_ARTICULAR_LEFT):
            sides = [centre(mine & (whole.semantic == side))[2] for side in (left, left + 1)]
            assert sides[0] < corpus[2] < sides[1], (v, left)
        upper, lower = (centre(mine & (whole.semantic == s))[1] for s in (45, 47))
        assert upper < lower


def test_facets_touch_the_neighbour(whole):
    below = ndimage.maximum_filter(np.where(np.isin(whole.semantic, (45, 46)), whole.instance, 0), 3)
    for v in range(2, 24):
        inferior = np.isin(whole.semantic, (47, 48)) & (whole.instance == v)
        assert (below[inferior] == v + 1).any(), L.VERTEBRAE[v]


def test_cord_ends_near_l1_within_the_canal(whole):
    cord = np.argwhere(whole.semantic == L.CORD)
    t12, l2 = (centre((whole.instance == v) & (whole.semantic == L.CORPUS))[1] for v in (19, 21))
    assert t12 < cord[:, 1].max() < l2
    canal = (whole.semantic == L.CORD) | (whole.semantic == L.CANAL)
    assert components(canal) == 1
    below = np.argwhere(whole.semantic == L.CANAL)[:, 1].max()
    assert below > centre(whole.semantic == L.DISC * (whole.instance == 124))[1]


def test_endplates_lie_between_disc_and_body(lumbar):
    for v in range(19, 24):
        plates = lumbar.instance == 200 + v
        assert components(plates) == 2
        near = ndimage.binary_dilation(plates, CUBE)
        assert (lumbar.instance[near & (lumbar.semantic == L.CORPUS)] >= v).all()
        for neighbour in (v, v + 1, 100 + v):
            assert (near & (lumbar.instance == neighbour)).any()


def corpus_height(anatomy, v):
    body = (anatomy.instance == v) & (anatomy.semantic == L.CORPUS)
    return body.any(axis=2).sum(axis=1).max() * 1.2


def test_variants(lumbar):
    def with_variants(**variants):
        return make_anatomy(replace(LUMBAR, variants=Variants(**variants)), seed=5)

    assert corpus_height(with_variants(collapsed=("L2",)), 21) < 0.92 * corpus_height(lumbar, 21)
    fused = with_variants(fused=("L2",))
    assert not np.isin(fused.instance, (121, 221)).any()
    assert ndimage.binary_dilation((fused.instance == 21) & (fused.semantic == L.CORPUS))[
        fused.instance == 22
    ].any()
    missing = with_variants(missing_discs=("L3",))
    assert 122 not in missing.instance and 222 in missing.instance
    worn = with_variants(degenerated=("L4",))
    assert (worn.instance == 123).sum() < 0.9 * (lumbar.instance == 123).sum()
    assert not (worn.tissue[worn.instance == 123] == Tissue.NUCLEUS).any()
    bridged = with_variants(bridged=("L1",))
    assert (bridged.instance == 120).sum() < 0.7 * (lumbar.instance == 120).sum()
    bulging = with_variants(herniated=("L4",))
    assert np.argwhere(bulging.instance == 123)[:, 0].max() > np.argwhere(lumbar.instance == 123)[:, 0].max()


@pytest.mark.parametrize(
    ("transitional", "levels", "expected"),
    [
        ("T13", ("T12", "L1"), {19, 28, 20}),
        ("L6", ("L4", "L6"), {23, 24, 25, 26}),
        ("no_T12", ("T11", "L1"), {18, 20}),
        ("sacralised_L5", ("L4", "L5"), {23, 24, 26}),
    ],
)
def test_transitional_anatomy(transitional, levels, expected):
    options = PhantomOptions(
        levels, spacing=(2, 2, 2), margin_mm=(0, 0), variants=Variants(transitional=transitional)
    )
    instance = make_anatomy(options, seed=3).instance
    assert expected <= set(np.unique(instance))
    assert (19 in instance) == (transitional == "T13")
    if transitional == "sacralised_L5":
        apart = ndimage.binary_dilation(instance == 24, CUBE) & (instance == 26)
        assert apart.any()


def test_scoliosis_and_curvature(lumbar):
    bent = make_anatomy(replace(LUMBAR, variants=Variants(scoliosis_deg=25.0)), seed=5)

    def spread(anatomy, axis):
        bodies = (anatomy.semantic == L.CORPUS) & (anatomy.instance >= 19)
        return np.ptp([centre(bodies & (anatomy.instance == v))[axis] for v in range(19, 25)])

    assert spread(bent, 2) > spread(lumbar, 2) + 2
    flat = make_anatomy(replace(LUMBAR, variants=Variants(curvature=0.1)), seed=5)
    assert spread(flat, 0) < spread(lumbar, 0)


def test_field_of_view_cuts_and_shows_neighbours():
    cut = make_anatomy(replace(LUMBAR, levels=("L2", "L4"), margin_mm=(-10.0, 20.0)), seed=1)
    assert {21, 22, 23, 24} <= set(np.unique(cut.instance)) and 20 not in cut.instance[
        cut.semantic == L.CORPUS
    ]
    assert (cut.semantic[:, 0] == L.CORPUS).any()
    narrow = make_anatomy(replace(LUMBAR, fov_mm=(150, 0, 12)), seed=1)
    assert narrow.semantic.shape[2] == 10 and (narrow.tissue != Tissue.AIR).any()


@pytest.fixture(scope="module")
def straight():
    return make_phantom(ANISOTROPIC, seed=9)


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAL", "PIR"])
def test_orientations_show_the_same_world(straight, orientation):
    turned = make_phantom(replace(ANISOTROPIC, orientation=tuple(orientation)), seed=9)
    for name in ("image", "semantic", "instance", "tissue"):
        volume = getattr(turned, name)
        assert nib.aff2axcodes(volume.affine) == tuple(orientation)
        back = reorient(volume, ("P", "I", "R"))
        assert np.array_equal(back.array, getattr(straight, name).array)
        assert np.allclose(back.affine, straight.image.affine)


def test_spacing_and_affine():
    options = replace(LUMBAR, levels=("L2", "L3"), spacing=(0.95, 1.3, 3.3), fov_mm=(101, 67, 43))
    p = make_phantom(options, seed=1)
    assert p.image.shape == p.semantic.shape == p.instance.shape == (106, 52, 13)
    assert np.allclose(nib.affines.voxel_sizes(p.image.affine), options.spacing)
    assert p.image.array.dtype == np.float32 and p.semantic.array.dtype == np.uint8
    assert p.instance.array.dtype == np.uint16


def test_truth_does_not_depend_on_the_spacing():
    fine, coarse = (
        make_anatomy(replace(LUMBAR, levels=("L2", "L4"), spacing=s, fov_mm=(120, 90, 60)), seed=4)
        for s in ((1, 1, 1), (3, 3, 3))
    )
    picked = fine.semantic[1::3, 1::3, 1::3]
    assert picked.shape == coarse.semantic.shape
    bone = picked > 0
    assert (coarse.semantic[bone] == picked[bone]).mean() > 0.75


def test_t2w_grey_values(lumbar):
    image = render(lumbar, replace(T2W, coil_mm=1e6, bias=0.0), seed=1)

    def mean(tissue):
        return image[ndimage.binary_erosion(lumbar.tissue == tissue)].mean()

    assert mean(Tissue.CSF) > mean(Tissue.FAT) > mean(Tissue.MARROW) > mean(Tissue.MUSCLE)
    cortical = image[lumbar.tissue == Tissue.CORTICAL].mean()
    assert mean(Tissue.MARROW) > cortical and mean(Tissue.CSF) > 2 * mean(Tissue.CORD)
    t1 = render(lumbar, replace(T1W, coil_mm=1e6, bias=0.0), seed=1)
    assert t1[lumbar.tissue == Tissue.CSF].mean() < t1[lumbar.tissue == Tissue.MARROW].mean()


def test_image_is_clean_and_the_patient_fills_it():
    p = make_phantom(replace(LUMBAR, fov_mm=(220, 0, 40), spacing=(1.3, 1.3, 4.0)), seed=8)
    assert np.isfinite(p.image.array).all() and (p.image.array >= 0).all()
    air = p.tissue.array == Tissue.AIR
    assert 0 < air.mean() < 0.5
    assert p.image.array[air].mean() < 0.2 * p.image.array[p.tissue.array == Tissue.FAT].mean()


def test_random_options_can_all_be_built():
    levels = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        options = replace(random_options(rng), spacing=(3.0, 3.0, 5.0))
        levels.add(options.levels)
        p = make_phantom(options, seed=seed, contrast=random_contrast(rng))
        assert (p.semantic.array > 0).any() and np.isfinite(p.image.array).all()
    assert len(levels) > 1


@pytest.mark.parametrize(
    "bad",
    [
        {"levels": ("C1", "L5")},
        {"levels": ("L5", "T1")},
        {"levels": ("L6", "L6")},
        {"spacing": (0.0, 1.0, 1.0)},
        {"spacing": (1.0, float("nan"), 1.0)},
        {"orientation": ("P", "I", "A")},
        {"fov_mm": (-1.0, 0.0, 50.0)},
    ],
)
def test_bad_options_are_refused(bad):
    with pytest.raises(ContractError):
        PhantomOptions(**bad)


def test_bad_variants_are_refused():
    with pytest.raises(ContractError, match=r"[Tt]ransitional"):
        Variants(transitional="T14")
    with pytest.raises(ContractError, match="L9"):
        PhantomOptions(variants=Variants(fused=("L9",)))


ARGUMENTS = [
    "--levels",
    "L2-L4",
    "--spacing",
    "2",
    "2",
    "4",
    "--orientation",
    "RAS",
    "--variant",
    "collapsed=L3",
]


def test_command_writes_scan_and_truth(tmp_path):
    out = tmp_path / "demo.nii.gz"
    run = CliRunner().invoke(command, [str(out), *ARGUMENTS], catch_exceptions=False)
    assert run.exit_code == 0
    names = ["demo.nii.gz", "demo_seg-spine_truth.nii.gz", "demo_seg-vert_truth.nii.gz"]
    assert run.output.split() == [str(tmp_path / name) for name in names]
    image, spine, vert = (nib.load(tmp_path / name) for name in names)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S") and image.shape == spine.shape == vert.shape
    assert {21, 22, 23} <= set(np.unique(np.asarray(vert.dataobj)))
    with pytest.raises(OutputExistsError, match="--overwrite"):
        CliRunner().invoke(command, [str(out), *ARGUMENTS], catch_exceptions=False)
    again = CliRunner().invoke(command, [str(out), *ARGUMENTS, "--overwrite"], catch_exceptions=False)
    assert again.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["x.txt"], OutputError),
        (["nowhere/x.nii.gz"], OutputError),
        (["x.nii.gz", "--variant", "nose=long"], ContractError),
        (["x.nii.gz", "--variant", "scale=big"], ContractError),
        (["x.nii.gz", "--orientation", "PI"], ContractError),
        (["x.nii.gz", "--levels", "L1:L2"], ContractError),
    ],
)
def test_command_refuses(tmp_path, monkeypatch, arguments, error):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert not list(tmp_path.iterdir())
