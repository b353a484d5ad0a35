"""Bytes out of files: gzip verified to its end, regular files only, errors in sentences."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import pytest

from spineps_rt.errors import CorruptFileError, MissingFileError, TruncatedFileError
from spineps_rt.io import streams

PAYLOAD = bytes(range(256)) * 700  # more than one chunk when it does not compress


def unpack(data: bytes) -> bytes:
    return b"".join(streams.unpacked(io.BytesIO(data), name="scan"))


def test_plain_bytes_come_through():
    assert unpack(PAYLOAD) == PAYLOAD
    assert unpack(b"") == b""


def test_gzip_members_and_zero_padding_come_through():
    data = gzip.compress(PAYLOAD[:1000]) + bytes(70_000) + gzip.compress(PAYLOAD) + bytes(513)
    assert unpack(data) == PAYLOAD[:1000] + PAYLOAD


def test_members_end_anywhere():
    """Ends and paddings fall on every place of the buffers that are read at once."""
    parts = [PAYLOAD[:n] for n in range(0, 3000, 7)]
    data = b"".join(gzip.compress(part, 0) + bytes(len(part) % 5) for part in parts)
    assert len(data) > 1 << 18
    assert unpack(data) == b"".join(parts)


@pytest.mark.parametrize("data", [b"", PAYLOAD, gzip.compress(PAYLOAD) + bytes(99) + gzip.compress(b"more")])
def test_every_byte_of_the_file_is_watched(data):
    digest = hashlib.sha256()
    for _ in streams.unpacked(io.BytesIO(data), name="scan", watch=digest.update):
        pass
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_file_s_digest(tmp_path):
    (tmp_path / "file").write_bytes(PAYLOAD * 9)
    assert streams.file_sha256(tmp_path / "file") == hashlib.sha256(PAYLOAD * 9).hexdigest()


def test_foreign_bytes_after_the_stream_are_corruption():
    with pytest.raises(CorruptFileError, match="damaged"):
        unpack(gzip.compress(PAYLOAD) + b"rubbish")


def test_early_end_is_truncation():
    data = gzip.compress(PAYLOAD[:300])
    for length in range(2, len(data)):
        with pytest.raises(TruncatedFileError, match="ends in the middle"):
            unpack(data[:length])


def test_packed_is_one_reproducible_gzip_member():
    one = streams.packed([PAYLOAD[:5], PAYLOAD[5:]])
    assert gzip.decompress(one) == PAYLOAD
    assert one == streams.packed([PAYLOAD[:5], PAYLOAD[5:]])
    assert one[4:8] == bytes(4)


@pytest.mark.parametrize("kind", ["absent", "folder", "device", "in a file"])
def test_what_cannot_be_opened(tmp_path, kind):
    (tmp_path / "file").write_bytes(b"x")
    path = {
        "absent": tmp_path / "no",
        "folder": tmp_path,
        "device": Path("/dev/null"),
        "in a file": tmp_path / "file" / "x",
    }[kind]
    with pytest.raises(MissingFileError, match=str(path)):
        streams.open_input(path)
