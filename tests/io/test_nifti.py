"""Reading with suspicion, writing whole."""

from __future__ import annotations

import gzip
import itertools
import struct
import tracemalloc
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from spineps_rt import errors
from spineps_rt.io import nifti
from spineps_rt.io.nifti import encode_nifti, read_nifti, write_nifti
from spineps_rt.volume import Volume, reorient

SHAPE = (4, 5, 3)
OBLIQUE = np.eye(4)  # sagittal slices of 0.9 x 0.8 x 3.3 mm, turned by a dozen degrees about two axes
OBLIQUE[:3, :3] = nib.eulerangles.euler2mat(0.2, -0.1, 0.05) @ [[0, 0, 3.3], [-0.9, 0, 0], [0, -0.8, 0]]
OBLIQUE[:3, 3] = -51.3, 70.125, 300.7


def pixels(dtype=np.int16):
    return (np.arange(60).reshape(SHAPE) * 7 - (0 if np.dtype(dtype).kind == "u" else 90)).astype(dtype)


def image(array=None, *, kind=nib.Nifti1Image, affine=OBLIQUE, codes=(1, 1), **fields):
    array = pixels() if array is None else array
    header = kind(array, affine, dtype=array.dtype).header
    header.set_sform(affine, codes[0])
    header.set_qform(affine, codes[1])
    for name, value in fields.items():
        header[name] = value
    return kind(array, None, header)  # without an affine nibabel leaves the header's codes alone


def raw(array=None, **options) -> bytearray:
    return bytearray(image(array, **options).to_bytes())


def patched(data: bytearray, start: int, layout: str, *values) -> bytes:
    """A file with header fields that nibabel would not write."""
    struct.pack_into(layout, data, start, *values)
    return bytes(data)


def put(folder: Path, data: bytes, name: str = "scan.nii") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def read(folder: Path, data: bytes) -> Volume:
    return read_nifti(put(folder, bytes(data)))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "i8", "u8"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_reads_what_nibabel_reads(tmp_path, dtype, kind):
    volume = read(tmp_path, raw(pixels(dtype), kind=kind))
    loaded = nib.load(tmp_path / "scan.nii")
    assert volume.array.dtype == (dtype if dtype[1] in "12" else np.float32)
    np.testing.assert_array_equal(volume.array, pixels(dtype))
    np.testing.assert_array_equal(volume.affine, loaded.affine)


@pytest.mark.parametrize("name", ["scan.nii.gz", "SCAN.NII.GZ", "scan.nii", "scan.dat", "scan"])
@pytest.mark.parametrize("compress", [False, True])
def test_the_content_decides_not_the_name(tmp_path, name, compress):
    data = bytes(raw())
    volume = read_nifti(put(tmp_path, gzip.compress(data) if compress else data, name))
    np.testing.assert_array_equal(volume.array, pixels())


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_big_endian(tmp_path, kind):
    header = image(kind=kind).header.as_byteswapped(">")
    data = kind(pixels(), None, header).to_bytes()
    assert data[0] == 0
    volume = read(tmp_path, data)
    np.testing.assert_array_equal(volume.array, pixels())
    np.testing.assert_array_equal(volume.affine, nib.load(tmp_path / "scan.nii").affine)
    written = nib.Nifti1Image if kind is nib.Nifti1Image else nib.Nifti2Image
    mask = written.from_bytes(encode_nifti(pixels("u1"), like=volume, compress=False))
    np.testing.assert_array_equal(mask.affine, volume.affine)


def test_header_extensions_are_skipped(tmp_path):
    scan = image()
    scan.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
    np.testing.assert_array_equal(read(tmp_path, scan.to_bytes()).array, pixels())


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [(2.5, -3.0, pixels() * 2.5 - 3), (1, 0, pixels()), (0, 9, pixels()), (np.nan, 9, pixels())],
)
def test_scaling_as_the_standard_says(tmp_path, slope, inter, expected):
    data = patched(raw(), 112, "<ff", slope, inter)
    np.testing.assert_array_equal(read(tmp_path, data).array, expected)


def test_scaling_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(errors.NotFiniteError, match="scaling"):
        read(tmp_path, patched(raw(), 112, "<ff", 2, np.nan))


def test_a_fourth_axis_of_one_volume_is_dropped(tmp_path):
    assert read(tmp_path, image(pixels()[..., None, None]).to_bytes()).shape == SHAPE


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 1)])
def test_sform_first_then_qform(tmp_path, codes):
    scan = image(codes=codes)
    scan.header["srow_x"][3] += 1
    assert read(tmp_path, scan.to_bytes()).affine[0, 3] == np.float32(OBLIQUE[0, 3] + bool(codes[0]))


def test_qfac_zero_counts_as_one(tmp_path):
    affine = np.diag([1, 2, 3, 1.0])
    data = patched(raw(affine=affine, codes=(0, 1)), 76, "<f", 0)
    np.testing.assert_array_equal(read(tmp_path, data).affine, affine)


def test_missing_files(tmp_path):
    with pytest.raises(errors.MissingFileError, match="does not exist"):
        read_nifti(tmp_path / "no.nii.gz")
    with pytest.raises(errors.MissingFileError, match="dcm2niix"):
        read_nifti(tmp_path)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (bytes(128) + b"DICM" + bytes(900), "dcm2niix"),
        (b"\x89PNG\r\n\x1a\n" + bytes(900), "PNG"),
        (b"PK\x03\x04" + bytes(900), "unpack"),
        (gzip.compress(b"\0\0\0\1" + bytes(900)), "mri_convert"),
        (gzip.compress(gzip.compress(bytes(900))), "gunzip"),
        (b"NRRD0005\n" + bytes(900), "NRRD"),
        (b"patient, age\n" * 90, "text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (bytes(900), "unknown kind"),
        (patched(raw(), 344, "4s", b"ni1\0"), "pair"),
        (patched(raw(), 344, "4s", b"\0\0\0\0"), "Analyze"),
        (patched(raw(), 70, "<h", 1234), "data type 1234"),
        (patched(raw(), 70, "<h", 1), "data type 1"),
        (patched(raw(), 40, "<h", 9), "9 axes"),
        (patched(raw(), 108, "<f", 16), "begin at byte 16"),
        (patched(raw(), 108, "<f", np.nan), "begin at byte nan"),
        (patched(raw(), 108, "<f", 1e9), "begin at byte 1e"),
    ],
)
def test_what_is_not_nifti(tmp_path, data, hint):
    with pytest.raises(errors.NotNiftiError, match=hint):
        read(tmp_path, data)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "sizes", [(4, 5, 5000), (4096, 4096, 4096), (4, -5, 3), (4, 0, 3), (32767, 32767, 32767)]
)
def test_absurd_sizes_are_refused_before_memory_is_taken(tmp_path, sizes, compress):
    data = patched(raw(), 42, "<hhh", *sizes)
    tracemalloc.start()
    with pytest.raises(errors.ImageSizeError, match="declares"):
        read(tmp_path, gzip.compress(data) if compress else data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_size_that_the_file_cannot_hold_takes_no_memory(tmp_path):
    data = patched(raw(), 42, "<hhh", 1000, 1000, 1000)
    tracemalloc.start()
    with pytest.raises(errors.TruncatedFileError, match="too small"):
        read(tmp_path, gzip.compress(data))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_more_than_is_declared(tmp_path):
    np.testing.assert_array_equal(read(tmp_path, raw() + bytes(1000)).array, pixels())
    with pytest.raises(errors.ImageSizeError, match="more than"):
        read(tmp_path, raw() + bytes(nifti.MAX_TRAILING + 1))


def test_a_decompression_bomb_is_left_early(tmp_path):
    packer = zlib.compressobj(9, wbits=31)
    data = packer.compress(bytes(raw())) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(300))
    path = put(tmp_path, data + packer.flush())
    tracemalloc.start()
    with pytest.raises(errors.ImageSizeError, match="more than"):
        read_nifti(path)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.ones((4, 5), np.int16), "single slice"),
        (np.ones((4, 5, 1), np.int16), "single slice"),
        (np.ones((1, 5, 4), np.int16), "single slice"),
        (np.ones((4, 5, 3, 2), np.int16), "4 axes"),
        (np.ones((4, 5, 3, 1, 3), np.int16), "5 axes"),
        (np.ones(SHAPE, np.complex64), "complex"),
        (np.ones(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours"),
    ],
)
def test_what_is_not_three_dimensional(tmp_path, array, what):
    with pytest.raises(errors.DimensionError, match=what):
        read(tmp_path, nib.Nifti1Image(array, OBLIQUE).to_bytes())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (raw(codes=(0, 0)), "does not say how it lies"),
        (patched(raw(), 280, "<f", np.nan), "NaN"),
        (patched(raw(), 280, "<12f", *([0] * 12)), "spacing"),
        (patched(raw(), 280, "<12f", 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0), "right angles"),
        (patched(raw(), 280, "<12f", 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0), "right angles"),
        (patched(raw(), 280, "<12f", 1e-3, 0, 0, 0, 0, 1e-3, 0, 0, 0, 0, 1e-3, 0), "units"),
        (patched(raw(codes=(0, 1)), 256, "<fff", 0.9, 0.9, 0.9), "cannot be placed"),
        (patched(raw(codes=(0, 1)), 80, "<f", 0), "spacing"),
    ],
)
def test_unusable_affines(tmp_path, data, what):
    with pytest.raises(errors.GeometryError, match=what):
        read(tmp_path, data)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_counted(tmp_path, bad):
    array = pixels("f4")
    array[1, 2, :2] = bad
    with pytest.raises(errors.NotFiniteError, match="2 NaN or infinite voxels of 60"):
        read(tmp_path, raw(array))


def test_numbers_beyond_float32_are_not_finite(tmp_path):
    with pytest.raises(errors.NotFiniteError, match="60 NaN"):
        read(tmp_path, raw(np.full(SHAPE, 1e300)))


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_without_signal(tmp_path, value):
    with pytest.raises(errors.EmptyImageError, match=f"holds {value} in every voxel"):
        read(tmp_path, raw(np.full(SHAPE, value, np.int16)))


@pytest.mark.parametrize("compress", [False, True])
def test_every_truncation_is_an_error(tmp_path, compress):
    data = gzip.compress(bytes(raw())) if compress else bytes(raw())
    for length in range(len(data)):
        wanted = errors.TruncatedFileError if length in (0, *range(4, len(data))) else errors.SpinepsError
        with pytest.raises(wanted):
            read(tmp_path, data[:length])


@pytest.mark.parametrize("level", [0, 9])
def test_every_flipped_bit_of_a_gzip_file_is_noticed(tmp_path, level):
    """Gzip header, deflate stream (stored or packed), checksum, length: an error or the very same content.

    The same content, because deflate writes some things in two ways, and gzip's time stamp means nothing.
    """
    content = bytes(raw())
    data = gzip.compress(content, level, mtime=1)
    noticed = 0
    for place, bit in itertools.product(range(len(data)), range(8)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        try:
            volume = read(tmp_path, damaged)
        except (errors.CorruptFileError, errors.TruncatedFileError):
            noticed += 1
        except errors.NotNiftiError:
            assert place < 2  # no gzip any more
        else:
            np.testing.assert_array_equal(volume.array, pixels())
            assert zlib.decompress(damaged[10:], -15) == content or place < 10
    assert noticed > 8 * len(data) * 0.9


def test_a_flip_that_spoils_the_header_is_reported_as_damage(tmp_path):
    stored = bytearray(gzip.compress(bytes(raw()), 0))
    stored[stored.index(b"n+1\0")] ^= 1
    with pytest.raises(errors.CorruptFileError, match="damaged"):
        read(tmp_path, stored)


@pytest.mark.parametrize("codes", [(1, 1), (2, 0), (0, 1), (1, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_mask_lies_exactly_where_the_scan_lies(tmp_path, codes, dtype, kind):
    scan = image(codes=codes, kind=kind)
    scan.header["qoffset_x"] += 4  # sform and qform may differ: both must come through
    volume = read(tmp_path, scan.to_bytes())
    mask = (pixels(dtype) % 5).astype(dtype)
    write_nifti(tmp_path / "mask.nii.gz", mask, like=volume)
    loaded, before = nib.load(tmp_path / "mask.nii.gz"), nib.load(tmp_path / "scan.nii")
    assert isinstance(loaded, kind)
    assert loaded.get_data_dtype() == dtype
    np.testing.assert_array_equal(np.asarray(loaded.dataobj), mask)
    np.testing.assert_array_equal(loaded.affine, before.affine)
    assert (loaded.header["sform_code"], loaded.header["qform_code"]) == codes
    np.testing.assert_array_equal(loaded.header.get_sform(), before.header.get_sform())
    if codes[1]:
        np.testing.assert_array_equal(loaded.header.get_qform(), before.header.get_qform())
    else:
        np.testing.assert_allclose(loaded.header.get_qform(), volume.affine, atol=0.05)
    assert loaded.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(loaded.header.get_zooms(), volume.spacing, rtol=1e-6)


def test_a_volume_without_header_is_written_with_both_forms(tmp_path):
    volume = Volume(pixels(), np.diag([-1, 2, 3, 1.0]))
    write_nifti(tmp_path / "x.nii", pixels(), like=volume)
    loaded = nib.load(tmp_path / "x.nii")
    for form, code in (loaded.get_sform(coded=True), loaded.get_qform(coded=True)):
        np.testing.assert_array_equal(form, volume.affine)
        assert code == 1
    np.testing.assert_array_equal(read_nifti(tmp_path / "x.nii").array, pixels())


def test_a_reoriented_volume_is_written_where_it_lies(tmp_path):
    scan = read(tmp_path, raw(codes=(2, 2)))
    turned = reorient(scan, "LPS")
    write_nifti(tmp_path / "x.nii.gz", turned.array, like=turned)
    loaded = nib.load(tmp_path / "x.nii.gz")
    np.testing.assert_allclose(loaded.affine, turned.affine, rtol=1e-6)
    assert loaded.header["sform_code"] == 2


def test_nothing_that_names_a_patient_is_copied(tmp_path):
    scan = image(descrip=b"DOE^JOHN", db_name=b"DOE", aux_file=b"DOE", intent_name=b"DOE")
    scan.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JOHN"))
    volume = read(tmp_path, scan.to_bytes())
    assert b"DOE" not in encode_nifti(pixels("u1"), like=volume, compress=False)


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    volume = read(tmp_path, raw())
    assert encode_nifti(pixels("u1"), like=volume) == encode_nifti(pixels("u1"), like=volume)


def test_contracts_of_writing(tmp_path):
    volume = read(tmp_path, raw())
    with pytest.raises(errors.ContractError, match=r"\(4, 5, 3\)"):
        encode_nifti(np.zeros((5, 4, 3), np.uint8), like=volume)
    with pytest.raises(errors.ContractError, match="int64"):
        encode_nifti(np.zeros(SHAPE, np.int64), like=volume)
    with pytest.raises(errors.ContractError, match=r"\.nii\.gz"):
        write_nifti(tmp_path / "mask.nrrd", np.zeros(SHAPE, np.uint8), like=volume)
    with pytest.raises(errors.OutputError, match="does not exist"):
        write_nifti(tmp_path / "no" / "mask.nii", np.zeros(SHAPE, np.uint8), like=volume)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.nii"]
