"""A folder of runs in a browser on this machine while they go on: pages made when asked for, and the files beside them."""

import mimetypes
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from nst_jax.errors import InputError
from nst_jax.report.charts import columns
from nst_jax.report.run_page import picture_address, read_rows, render, scales, state, summary
from nst_jax.runs.folder import RunFolder
from nst_jax.system.records import strict_json

_HOST = "127.0.0.1"
# A page of ours asks only where it came from, and nobody else may show it.
_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_POLICY += "; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def serve(folder: Path, port: int, page: Callable[[Path], str]) -> ThreadingHTTPServer:
    """A server of `folder` on the loopback address, bound and ready for `serve_forever`.

    It answers GET only, to a browser that knows it by that address (a foreign name that leads here is refused), with what
    lies inside `folder`, links resolved.

    Args:
        folder: a run folder, or one that holds run folders.
        port: 0 is any free one.
        page: makes the page of a folder that is a run or a sweep.

    Raises:
        InputError: the port is taken.
    """
    try:
        return ThreadingHTTPServer((_HOST, port), partial(_Handler, folder.resolve(), page))
    except (OSError, OverflowError) as error:
        raise InputError(f"port must be free and below 65536, got {port}; leave it out for any free one") from error


def live_page(folder: Path) -> str:
    """The page of a run, which follows the run until it is finished. Raises an InputError if there is no run."""
    run = RunFolder(folder)
    return render(run, live=state(run) != "finished")


def progress_of(folder: RunFolder, after: int) -> dict[str, Any]:
    """What a page that follows a run asks for again and again.

    Args:
        folder: of the run.
        after: the number of rows that the page has.
    """
    rows = read_rows(folder, [])
    return {
        "state": state(folder),
        "line": summary(rows),
        "rows": columns(rows, of=slice(after, None)) if len(rows) > after else None,
        "picture": picture_address(folder),
        "scales": len(scales(rows)),
    }


class _Handler(BaseHTTPRequestHandler):
    server_version = "nst_jax"

    def __init__(self, folder: Path, page: Callable[[Path], str], *arguments: Any) -> None:
        self._folder, self._page = folder, page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answers a request."""
        url = urlsplit(self.path)
        port = self.connection.getsockname()[1]
        if self.headers.get("Host") not in (f"{_HOST}:{port}", f"localhost:{port}"):
            return self.send_error(HTTPStatus.FORBIDDEN, "known by the loopback address only")
        try:
            path = (self._folder / unquote(url.path).lstrip("/")).resolve()
            if not path.is_relative_to(self._folder):
                raise FileNotFoundError
            self._answer(*self._content(path, url))
        except (InputError, OSError, ValueError):  # ValueError: a name that no file can have
            self.send_error(HTTPStatus.NOT_FOUND)

    def _content(self, path: Path, url: Any) -> tuple[bytes, str]:
        if path.is_dir() and url.path.endswith("/"):
            return self._page(path).encode(), "text/html; charset=utf-8"
        if path.name == "report.html":
            return self._page(path.parent).encode(), "text/html; charset=utf-8"
        if path.name == "state.json":
            after = int(parse_qs(url.query).get("after", ["0"])[0])
            return strict_json(progress_of(RunFolder(path.parent), max(after, 0))).encode(), "application/json"
        return path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    def _answer(self, data: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": "no-store"}
        policy = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        for name, value in (headers | policy).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the page asks each second."""
