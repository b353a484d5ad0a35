"""Downloads against a real server on this machine: resumed, compared with the first, never half there."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import socket
import sys
import threading
import zipfile
from functools import partial

import pytest

import tiny_models
from spineps_rt.errors import EngineError, ModelError, OutputError
from spineps_rt.export.download import fetch as fetching
from spineps_rt.export.download.fetch import fetch
from spineps_rt.export.download.releases import RELEASES, Release, find_release
from spineps_rt.models import load_model


def zip_bytes(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


CONTENT = zip_bytes(weights=bytes(range(256)) * 4000)
OTHER = zip_bytes(weights=bytes(range(255, -1, -1)) * 4000)


class Server(http.server.ThreadingHTTPServer):
    """Serves one file at every address, with ranges; its attributes are the faults."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.status, self.location = CONTENT, 200, ""
        self.breaks_after: int | None = None
        self.tagged = self.ranges = self.says_length = True
        self.requests: list[dict[str, str]] = []

    @property
    def release(self):
        return Release(f"http://127.0.0.1:{self.server_port}/v1/tiny.zip")


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        tag = f'"{hashlib.sha256(server.content).hexdigest()}"'
        body, status, said = server.content, server.status, {}
        if "Range" in self.headers and server.ranges and self.headers["If-Range"] == tag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(body) else 416
            said["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        if server.tagged:
            said["ETag"] = tag
        if server.says_length:
            said["Content-Length"] = str(len(body))
        if server.location:
            said["Location"] = server.location
        self.send_response(status)
        for name, value in said.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: server.breaks_after])


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def get(server, tmp_path):
    def run(report=lambda done, total: None):
        return fetch(server.release, tmp_path, report=report)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def break_off(server, get, after=300_000):
    server.breaks_after = after
    with pytest.raises(ModelError, match=f"broke off after {after} of {len(CONTENT)} bytes"):
        get()
    server.breaks_after = None


def test_a_download_is_whole_and_its_hash_recorded(server, get, tmp_path):
    seen = []
    path = get(lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "v1-tiny.zip"
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["sha256.json", "v1-tiny.zip"]
    known = json.loads((tmp_path / "sha256.json").read_text())
    assert known == {server.release.address: hashlib.sha256(CONTENT).hexdigest()}
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_what_is_there_is_not_downloaded_again(server, get):
    path = get()
    assert get() == path
    assert len(server.requests) == 1
    path.write_bytes(OTHER)  # damaged on the disk
    assert get().read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_an_interrupted_download_resumes(server, get, tmp_path):
    break_off(server, get)
    assert (tmp_path / "v1-tiny.zip.part").read_bytes() == CONTENT[:300_000]
    assert not (tmp_path / "v1-tiny.zip").exists()
    assert not (tmp_path / "sha256.json").exists()
    assert get().read_bytes() == CONTENT
    assert "Range" not in server.requests[0]
    assert server.requests[1]["Range"] == "bytes=300000-"


def test_an_interrupt_while_it_runs_resumes(server, get):
    def report(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(report)
    assert get().read_bytes() == CONTENT
    assert int(server.requests[1]["Range"].removeprefix("bytes=").removesuffix("-")) > 0


@pytest.mark.parametrize("fault", ["ranges", "tagged"])
def test_without_ranges_or_tag_it_begins_anew(server, get, fault):
    setattr(server, fault, False)
    break_off(server, get)
    assert get().read_bytes() == CONTENT


def test_a_file_that_changes_while_it_is_downloaded_is_never_mixed(server, get):
    break_off(server, get)
    server.content = OTHER
    assert get().read_bytes() == OTHER


def test_a_part_that_is_complete_needs_no_request(server, get, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fetching, "check_content", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            get()
    assert (tmp_path / "v1-tiny.zip.part").read_bytes() == CONTENT
    assert get().read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_part_that_is_too_long_is_thrown_away(server, get, tmp_path):
    break_off(server, get)
    (tmp_path / "v1-tiny.zip.part").write_bytes(bytes(len(CONTENT) + 9))
    assert get().read_bytes() == CONTENT


def test_changed_content_is_refused_ever_after(server, get, tmp_path):
    get().unlink()
    server.content = OTHER
    for _ in range(2):
        with pytest.raises(ModelError, match=r"is not what it was: its SHA-256 is .*sha256\.json"):
            get()
        assert names(tmp_path) == ["sha256.json"]
    server.content = CONTENT
    assert get().read_bytes() == CONTENT


def test_a_damaged_record_is_not_taken_for_none(get, tmp_path):
    get()
    for damaged in ("{", "[]", '{"a": 1}'):
        (tmp_path / "sha256.json").write_text(damaged)
        with pytest.raises(ModelError, match=r"sha256\.json is no table"):
            get()
    assert (tmp_path / "v1-tiny.zip").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "damaged", [b"<html>log in first</html>", CONTENT[:-30], CONTENT.replace(b"\x07\x08", b"xx", 1)]
)
def test_what_is_no_whole_zip_file_is_not_recorded(server, get, tmp_path, damaged):
    server.content = damaged
    with pytest.raises(ModelError, match=r"zip file|damaged"):
        get()
    assert names(tmp_path) == []
    server.content = CONTENT
    assert get().read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_of_the_server_is_named_with_the_way_out(server, get, tmp_path, status):
    server.status = status
    with pytest.raises(ModelError, match=rf"tiny\.zip answered {status} .*models import"):
        get()
    assert names(tmp_path) == []


def test_an_answer_without_a_length_is_refused(server, get, tmp_path):
    server.says_length = False
    with pytest.raises(ModelError, match="not how long it is"):
        get()
    assert names(tmp_path) == []


def test_a_file_beyond_all_measure_is_refused(server, get, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(ModelError, match="no model of SPINEPS has more"):
        get()
    assert names(tmp_path) == []


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/x.zip", "ftp://127.0.0.1/x.zip", "/elsewhere.zip"])
def test_a_redirect_that_is_not_https_is_refused(server, get, tmp_path, location):
    server.status, server.location = 302, location
    with pytest.raises(ModelError, match=r"leads to .*not https"):
        get()
    assert (names(tmp_path), len(server.requests)) == ([], 1)


def test_a_redirect_to_https_is_followed(server, get):
    server.status, server.location = 302, f"https://127.0.0.1:{server.server_port}/x.zip"
    with pytest.raises(ModelError, match=r"cannot be reached \(.*SSL"):  # it was spoken to as https
        get()


@pytest.mark.parametrize(
    "address", ["http://example.org/v/x.zip", "file:///etc/hosts", "http://127.0.0.1.org/v/x"]
)
def test_an_address_that_is_not_https_is_refused(tmp_path, address):
    with pytest.raises(ModelError, match="is not https"):
        fetch(Release(address), tmp_path, report=lambda done, total: None)


def test_offline_the_error_names_address_and_way_out(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        release = Release(f"http://127.0.0.1:{closed.getsockname()[1]}/v1/tiny.zip")
        with pytest.raises(ModelError, match=rf"^{release.address} cannot be reached \(.*models import$"):
            fetch(release, tmp_path, report=lambda done, total: None)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_says_so_before_anything_is_asked(server, tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(OutputError):
        fetch(server.release, tmp_path / "f", report=lambda done, total: None)
    assert server.requests == []


def test_the_table_holds_plain_https_zip_files_and_no_embedded_name():
    for name, release in RELEASES.items():
        assert release.address.startswith("https://")
        assert release.file.endswith(".zip")
        with pytest.raises(ModelError, match="no model"):
            load_model(name)
    assert len({release.file for release in RELEASES.values()}) == len(RELEASES)
    with pytest.raises(ModelError, match="no release 'ct'; there are: spineps-t2w"):
        find_release("ct")


@pytest.fixture
def command(server, tmp_path, monkeypatch, run_cli):
    """``spineps-rt models fetch`` with a table of the one release that the server has."""
    monkeypatch.setenv("SPINEPS_RT_MODELS", str(tmp_path / "models"))
    monkeypatch.setitem(RELEASES, "tiny", server.release)
    return partial(run_cli, "models", "fetch")


def entries(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_fetch_installs_under_the_release_s_name(command, server, tmp_path):
    code, out, _ = command()
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [*RELEASES]
    assert server.requests == []
    server.content = zip_bytes(**entries(tiny_models.write_semantic(tmp_path / "m")))
    code, out, err = command("tiny")
    assert (code, out) == (0, f"{tmp_path / 'models' / 'tiny'}\n")
    assert server.release.address in err
    assert load_model("tiny").name == "tiny-semantic"
    assert names(tmp_path / "models" / ".downloads") == ["sha256.json"]
    assert command("tiny")[0] == 21  # installed already, and so nobody was asked
    assert len(server.requests) == 1
    assert command("tiny", "--overwrite")[0] == 0


def test_without_pytorch_the_download_is_kept_and_used_later(command, server, tmp_path, monkeypatch):
    server.content = zip_bytes(**{"m/inference_config.json": "{}"})
    monkeypatch.setitem(sys.modules, "spineps_rt.export.convert", None)
    kept = tmp_path / "models" / ".downloads" / "v1-tiny.zip"
    for _ in range(2):
        code, out, err = command("tiny")
        assert (code, out) == (EngineError.exit_code, "")
        assert "pip install 'spineps-rt[export]'" in err
        assert str(kept) in err
        assert "models import v1-tiny.zip --name tiny" in err
        assert kept.read_bytes() == server.content
    assert len(server.requests) == 1


def test_a_release_of_spineps_is_exported(command, server, tmp_path):
    pytest.importorskip("torch", reason="PyTorch comes with [export]")
    pytest.importorskip("onnxscript", reason="onnxscript comes with [export]")
    import spineps_folders  # noqa: PLC0415 (PyTorch)

    spineps_folders.write_nnunet(tmp_path / "m")
    server.content = zip_bytes(**{f"t2w/{name}": data for name, data in entries(tmp_path / "m").items()})
    code, out, _ = command("tiny")
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "models" / "tiny")
    assert "fold_0/checkpoint_final.pth" in load_model("tiny").provenance
