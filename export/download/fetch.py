"""Download a release. Nothing else in the package opens a connection; only ``models fetch`` loads this."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from spineps_rt.errors import ModelError
from spineps_rt.export.download.known import check_known, is_known
from spineps_rt.export.download.releases import Release
from spineps_rt.io.atomic import atomic_write, output_errors, prepare_folder
from spineps_rt.models.archive import check_content

MAX_BYTES = 8 << 30
"""A release of five folds is about 1 GiB."""
TIMEOUT = 30
"""Seconds that a server may stay silent."""
_CHUNK = 1 << 18
Report = Callable[[int, int], None]
"""Gets the bytes that are there and the bytes in all."""


def fetch(release: Release, folder: Path, *, report: Report) -> Path:
    """Download a release, or take the download that is there; begun downloads are resumed.

    Args:
        release: What; its address is https, or http on this machine.
        folder: Where downloads and their hashes are kept.
        report: Is told how far the download is.

    Returns:
        The zip file. Its SHA-256 is the one that was recorded when it was first downloaded.

    Raises:
        ModelError: The address cannot be reached, or answers no zip file or another than at the first time.
        OutputError: The folder cannot be written.
    """
    prepare_folder(folder)
    path, part = folder / release.file, folder / f"{release.file}.part"
    if is_known(path, folder, release.address):
        return path
    _download(release.address, part, report)
    try:
        check_content(part)
        check_known(part, folder, release.address)
    except ModelError:
        _forget(part)
        raise
    with output_errors(path):
        part.replace(path)
    _forget(part)
    return path


def _download(address: str, part: Path, report: Report) -> None:
    """Complete ``part``. Beside it stands of which version it is, and how many bytes it is going to have."""
    tag, expected = _begun(part)
    done = part.stat().st_size if tag else 0
    if tag and done == expected:
        return
    with _answer(address, {"Range": f"bytes={done}-", "If-Range": tag} if done else {}) as response:
        start, total = _extent(response, address)
        if start == 0:
            _forget(part)
            if tag := _tag(response):
                atomic_write(_notes(part), json.dumps({"tag": tag, "total": total}).encode())
        elif (start, total) != (done, expected):
            _forget(part)
            raise ModelError(f"{address} changed while it was downloaded. Run the command again.")
        done = _append(response, part, (start, total), report)
    if done != total:
        raise ModelError(
            f"{address} broke off after {done} of {total} bytes. Run the command again: it goes on there, "
            "if the server can."
        )


def _append(response: Any, part: Path, extent: tuple[int, int], report: Report) -> int:
    """Write what arrives to its place; answers how many bytes there are then."""
    done, total = extent
    with output_errors(part), part.open("r+b" if done else "wb") as sink:
        sink.seek(done)
        for piece in _pieces(response):
            sink.write(piece)
            done += len(piece)
            report(done, total)
            if done > total:
                break
        sink.truncate()
        sink.flush()
        os.fsync(sink.fileno())
    return done


def _pieces(response: Any) -> Iterator[bytes]:
    with contextlib.suppress(OSError, http.client.HTTPException):  # a broken line: the count tells
        while piece := response.read1(_CHUNK):
            yield piece


def _extent(response: Any, address: str) -> tuple[int, int]:
    """First byte that the answer brings, and bytes in all."""
    whole = re.fullmatch(r"\d+", response.headers.get("Content-Length", ""))
    partial = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status == http.client.PARTIAL_CONTENT and partial:
        start, total = int(partial[1]), int(partial[2])
    elif response.status == http.client.OK and whole:
        start, total = 0, int(whole[0])
    else:
        raise ModelError(f"{address} answered {response.status} and not how long it is; expected a file.")
    if total > MAX_BYTES:
        raise ModelError(f"{address} has {total} bytes; no model of SPINEPS has more than {MAX_BYTES}.")
    return start, total


def _answer(address: str, headers: dict[str, str]) -> Any:
    parts = urlsplit(address)
    if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", "127.0.0.1"):
        raise ModelError(f"{address} is not https; nothing was downloaded.")
    advice = "Where there is no network, download it elsewhere and give the file to: spineps-rt models import"
    try:
        request = Request(address, headers={"User-Agent": "spineps-rt", **headers})
        return build_opener(_OnlyHttps).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if headers and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return _answer(address, {})  # the file became shorter than what is there of it
        raise ModelError(f"{address} answered {error.code} ({error.reason}). {advice}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(f"{address} cannot be reached ({reason}). {advice}") from error


class _OnlyHttps(HTTPRedirectHandler):
    def redirect_request(self, req: Request, *rest: Any) -> Request | None:
        address = rest[-1]
        if urlsplit(address).scheme != "https":
            raise ModelError(
                f"{req.full_url} leads to {address}, which is not https; nothing was downloaded."
            )
        return super().redirect_request(req, *rest)


def _tag(response: Any) -> str:
    """What tells this version of the file from every other; nothing where the server gives no such thing."""
    tag = response.headers.get("ETag", "")
    return "" if tag.startswith("W/") else tag


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _begun(part: Path) -> tuple[str, int]:
    """Tag and size of the version of which ``part`` is the beginning; no tag where nothing can be resumed."""
    try:
        notes = json.loads(_notes(part).read_bytes())
        part.stat()
        return str(notes["tag"]), int(notes["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0


def _forget(part: Path) -> None:
    with output_errors(part):
        part.unlink(missing_ok=True)
        _notes(part).unlink(missing_ok=True)
