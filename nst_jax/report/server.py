"""A web server for a run or sweep that is still going: pages rendered on request, and the files beside them."""

import logging
import mimetypes
import os
import socket
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from waitress.server import create_server

from nst_jax.errors import InputError
from nst_jax.report.charts import columns
from nst_jax.report.run_page import picture_address, read_rows, render, scales, state, summary
from nst_jax.runs.folder import RunFolder
from nst_jax.system.records import strict_json

_HOST = "127.0.0.1"
# A page may load from its own origin only, and no other page may frame it.
_POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
_POLICY += "; media-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
# Idle connections are dropped after 10 seconds, whether or not they have begun a request.
_LIMITS: dict[str, Any] = {"channel_timeout": 10, "cleanup_interval": 5, "connection_limit": 2000, "backlog": 1024}
_LIMITS |= {"asyncore_use_poll": True, "threads": 4, "ident": None}

Page = Callable[[Path], str]


def serve(folder: Path, port: int, page: Page) -> Any:
    """Binds a server of `folder` to the loopback address; `run()` serves until Ctrl-C, `effective_port` is its port.

    It answers GET and HEAD with what lies inside `folder` after links are resolved, and only if the Host header names the
    loopback address, so that no web page reaches it through a name of its own (DNS rebinding).

    Args:
        folder: a run folder, or one that holds run folders.
        port: 0 chooses a free one.
        page: renders the page of a folder that is a run or a sweep.

    Raises:
        InputError: the port is taken.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # many requests at once are no news
    try:
        if port not in range(1 << 16):
            raise OSError
        listener = socket.create_server((_HOST, port), backlog=_LIMITS["backlog"])
    except OSError as error:
        raise InputError(f"port must be free and below 65536, got {port}; leave it out for any free one") from error
    hosts = {f"{name}:{listener.getsockname()[1]}" for name in (_HOST, "localhost")}
    return create_server(partial(_answer, folder.resolve(), page, hosts), sockets=[listener], **_LIMITS)


def live_page(folder: Path) -> str:
    """The page of a run, which follows the run until it has finished. Raises InputError if there is no run."""
    run = RunFolder(folder)
    return render(run, live=state(run) != "finished")


def progress_of(folder: RunFolder, after: int) -> dict[str, Any]:
    """The news of a run since a page was updated last, for its script.

    Args:
        folder: of the run.
        after: the number of rows that the page already has.
    """
    rows = read_rows(folder, [])
    return {
        "state": state(folder),
        "line": summary(rows),
        "rows": columns(rows, of=slice(after, None)) if len(rows) > after else None,
        "picture": picture_address(folder),
        "scales": len(scales(rows)),
    }


def _answer(folder: Path, page: Page, hosts: set[str], environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The WSGI application."""
    method, kind, body = environ["REQUEST_METHOD"], "text/plain", b""
    if environ.get("HTTP_HOST") not in hosts:
        code = "403 Forbidden"
    elif method not in ("GET", "HEAD"):
        code = "405 Method Not Allowed"
    else:
        try:
            code, (kind, body) = "200 OK", _content(folder, page, environ)
        except (InputError, OSError, ValueError, RuntimeError):  # also names that no file can have, and loops of links
            code = "404 Not Found"
    start_response(code, [("Content-Type", kind), ("Content-Length", str(len(body))), *_HEADERS.items()])
    return [] if method == "HEAD" else [body]


def _content(folder: Path, page: Page, environ: dict[str, Any]) -> tuple[str, bytes]:
    name = os.fsdecode(environ["PATH_INFO"].encode("latin-1"))
    path = (folder / name.lstrip("/")).resolve()
    if not path.is_relative_to(folder):
        raise FileNotFoundError
    if path.is_dir() and name.endswith("/"):
        path /= "report.html"
    if path.name == "report.html":
        return "text/html; charset=utf-8", page(path.parent).encode()
    if path.name == "state.json":
        after = int(parse_qs(environ["QUERY_STRING"]).get("after", ["0"])[0])
        return "application/json", strict_json(progress_of(RunFolder(path.parent), max(after, 0))).encode()
    if not path.is_file():  # a pipe or a device may never end
        raise FileNotFoundError
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream", path.read_bytes()
