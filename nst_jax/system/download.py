"""Download a file of known hash: resumable, over mirrors in turn, there whole and verified or not at all."""

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
    """Fetch a file from the first address that has it, and verify it.

    What has arrived is kept beside it as NAME.part when the connection fails, and the next address, or the next call,
    goes on from there. A progress bar is shown on a terminal.

    Args:
        urls: addresses of the same file, the official one first.
        path: where to put it.
        digest: "sha256:..." or, where no more is published, "md5:...".
        timeout_s: how long a connection may be silent, in seconds.

    Raises:
        InputError: no address gave the file, or none gave it with that digest.
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
    raise InputError(f"{path.name} must be had with the digest {digest}, got none ({'; '.join(failures)}); try again later")


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a file, as "sha256:..." or "md5:..."."""
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _transfer(url: str, part: Path, timeout_s: float) -> None:
    """Append to `part` what it lacks of the file at `url`."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "nst_jax"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # there is nothing beyond what is here already; the digest will tell whether it is right
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            have = 0  # the server sends the whole file whatever was asked
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise OSError("the server sent another range than was asked for")
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
