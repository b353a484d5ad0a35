"""Zip files from elsewhere: nothing leaves the folder, nothing fills the disk."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile

import pytest

from spineps_rt.errors import ModelError
from spineps_rt.models.archive import MAX_FILES, check_archive, unpacked


def archive(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the twin that a test wants
        for entry, content in entries:
            file.writestr(entry, content)
    return path


def test_an_archive_is_unpacked_and_goes_again(tmp_path):
    path = archive(tmp_path / "m.zip", [("model/", ""), ("model/a.json", "{}"), ("b/c/d.pth", b"x" * 9)])
    with unpacked(path) as folder:
        found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == {"model/a.json": b"{}", "b/c/d.pth": b"x" * 9}
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "a\\..\\evil", "./../evil"])
def test_no_entry_leaves_the_folder(tmp_path, name):
    path = archive(tmp_path / "m.zip", [("ok.json", "{}"), (name, "x")])
    with pytest.raises(ModelError, match="would leave the folder"), unpacked(path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("weights.pth")
    entry.external_attr = (kind | 0o644) << 16
    with pytest.raises(ModelError, match="link or device"):
        check_archive(archive(tmp_path / "m.zip", [(entry, "/etc/passwd")]))


def test_bombs_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no weights shrink"):
        check_archive(archive(tmp_path / "ratio.zip", [("zeros.pth", bytes(4 << 20))]))
    with pytest.raises(ModelError, match="at most"):
        check_archive(archive(tmp_path / "many.zip", [(str(i), "") for i in range(MAX_FILES + 1)]))


def test_a_file_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(ModelError, match="twice"):
        check_archive(archive(tmp_path / "m.zip", [("a.json", "{}"), ("A.json", "[]")]))


@pytest.mark.parametrize("end", ["table", "file"])
def test_an_archive_without_its_end_is_cut_off(tmp_path, end):
    inner = archive(tmp_path / "weights.pth", [("archive/data.pkl", "x")]).read_bytes()
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w") as file:  # stored, as a release holds its checkpoints
        file.writestr("m/inference_config.json", "{}")
        file.writestr("m/weights.pth", inner)
    check_archive(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(inner) + (len(inner) if end == "table" else len(inner) // 2)])
    with pytest.raises(ModelError, match=r"m\.zip is cut off: .* bytes\) and has no end\. Download or copy"):
        check_archive(path)


def test_a_damaged_archive_says_so(tmp_path):
    path = archive(tmp_path / "m.zip", [("a.pth", os.urandom(4096))])
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"), unpacked(path):
        pass
    path.write_bytes(b"no zip file")
    with pytest.raises(ModelError, match="zip file"):
        check_archive(path)
