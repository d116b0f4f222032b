"""Resumable, verified downloads of files of known hash, with mirrors."""

import hashlib
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from nst_jax.errors import InputError

_CHUNK = 1 << 20
_NETWORK_ERRORS = (OSError, http.client.HTTPException)  # urllib's URLError is an OSError


def download(urls: Sequence[str], path: Path, digest: str, *, timeout_s: float = 20.0) -> None:
    """Downloads a file from the first address that has it, and verifies it.

    If the connection fails, the part that has arrived stays beside it as NAME.part, and the next address or the next call
    resumes from there. On a terminal there is a progress bar.

    Args:
        urls: addresses of the same file, the official one first.
        path: of the file.
        digest: "sha256:..." or, where nothing better is published, "md5:...".
        timeout_s: seconds without data after which a connection has failed.

    Raises:
        InputError: no address has the file, or none has it with that digest.
    """
    if path.is_file() and file_digest(path, digest.partition(":")[0]) == digest:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    for url in urls:
        try:
            _transfer(url, part, timeout_s)
        except _NETWORK_ERRORS as error:
            failures.append(f"{url}: {error or type(error).__name__}")
            continue
        found = file_digest(part, digest.partition(":")[0])
        if found == digest:
            part.replace(path)
            return
        part.unlink()
        failures.append(f"{url}: its digest is {found}")
    raise InputError(f"{path.name} must have the digest {digest}, got none ({'; '.join(failures)}); try again later")


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file, as "sha256:..." or "md5:..."."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _transfer(url: str, part: Path, timeout_s: float) -> None:
    """Appends the missing bytes of the file at `url` to `part`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "nst_jax"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # the part is complete already; the caller compares the digest
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server ignores ranges and sends the whole file
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise OSError("the server sent another range than requested")
        _receive(response, part, have)


def _receive(response: http.client.HTTPResponse, part: Path, have: int) -> None:
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    with Progress(console=Console(stderr=True), disable=not (sys.stderr and sys.stderr.isatty())) as bar:
        task = bar.add_task(f"{part.stem} ({total / 1e6:.0f} MB)" if total else part.stem, total=total, completed=have)
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.advance(task, len(chunk))
    size = part.stat().st_size
    if total is not None and size != total:
        raise OSError(f"the connection broke after {size} of {total} bytes")
