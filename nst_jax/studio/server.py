"""The server of the studio: bound to this machine, and deaf to pages of other sites."""

import contextlib
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from nst_jax.errors import InputError
from nst_jax.images.signatures import load_plugins
from nst_jax.studio.folder import MAX_BYTES, StudioFolder, open_studio
from nst_jax.studio.jobs import Worker, read_network

_HOST, _PORT = "127.0.0.1", 7860
_SESSIONS = 64  # whose state is kept, the last used ones: each page that is opened or loaded again begins one
_Scope = dict[str, Any]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_HEADERS = {b"x-frame-options": b"DENY", b"x-content-type-options": b"nosniff", b"referrer-policy": b"no-referrer"}


class Guard:
    """Lets requests pass that this machine's own page or a program on it sends; answers 403 to all others.

    A page of another site that reaches the server through a name of its own (DNS rebinding) has another Host; one that sends
    a form or a script's request has another Origin, or `cross-site` in Sec-Fetch-Site. Gradio's routes that fetch an address on
    behalf of the page are closed.
    """

    def __init__(self, app: Any, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}".encode() for name in (_HOST, "localhost")}
        self.origins = {b"http://" + host for host in self.hosts}

    async def __call__(self, scope: _Scope, receive: Any, send: _Send) -> None:
        """Answers a request, or hands it on."""
        if scope["type"] in ("http", "websocket") and not self.allows(scope):
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"only the studio's own page may ask this"})
            return

        async def guarded(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS.items()]}
            await send(message)

        await self.app(scope, receive, guarded)

    def allows(self, scope: _Scope) -> bool:
        """Whether a request may pass.

        Example:
            >>> guard = Guard(None, 7860)
            >>> ours = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"127.0.0.1:7860")]}
            >>> guard.allows(ours), guard.allows({**ours, "headers": [*ours["headers"], (b"origin", b"http://else.where")]})
            (True, False)
        """
        headers = dict(scope["headers"])
        if headers.get(b"host") not in self.hosts or not {headers.get(b"origin")} <= {None, *self.origins}:
            return False
        if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site"):
            return scope["path"] == "/" and headers.get(b"sec-fetch-mode") == b"navigate"
        return not any(part in scope["path"] for part in ("/file=http", "/proxy=", "/stream/"))


def serve(path: Path, styles: Path | None, port: int | None, browser: bool) -> None:
    """Runs the studio in a folder until Ctrl-C.

    Raises:
        InputError: Gradio is not installed, the folder or the port is taken, or there are no pictures in `styles`.
    """
    with open_studio(path) as folder, _listening(port) as listener:
        address = f"http://{_HOST}:{listener.getsockname()[1]}/"
        server, worker = _server(folder, styles, listener)
        print(f"{address} (Ctrl-C to stop); pictures are in {folder.path}", flush=True)
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        with contextlib.suppress(KeyboardInterrupt):  # the usual end, raised once it has shut down
            server.run(sockets=[listener])
    if worker.is_busy:  # a thread inside XLA, at the end of the interpreter, would abort it
        sys.stdout.flush()
        os._exit(0)


def _server(folder: StudioFolder, styles: Path | None, listener: socket.socket) -> tuple[Any, Worker]:
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder.temporary), "HF_HUB_OFFLINE": "1"}
    try:
        import uvicorn
        from fastapi import FastAPI

        from nst_jax.studio.shared import gr, shelf
    except ImportError as error:
        raise InputError(f'studio must have Gradio, got none; pip install "nst-jax[studio]" ({error})') from error

    from nst_jax.studio.page import LOOK, page

    load_plugins()
    paintings = shelf(styles)
    gr.set_static_paths(list(map(str, folder.served)))
    studio = page(folder, paintings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        studio.worker.start()
        reader = threading.Thread(target=read_network)  # while the user still chooses
        reader.start()
        try:
            yield
        finally:
            studio.worker.close()
            reader.join()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    studio.blocks.state_session_capacity = _SESSIONS
    off = dict.fromkeys(("run_history", "ssr_mode", "enable_monitoring", "pwa", "mcp_server"), False)
    gr.mount_gradio_app(app, studio.blocks, path="/", max_file_size=MAX_BYTES, footer_links=[], **off, **LOOK)
    studio.blocks.has_launched = True  # until it is, Gradio takes any file of this machine that a request names for an upload
    guarded = Guard(app, listener.getsockname()[1])
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="critical", timeout_graceful_shutdown=2))
    return server, studio.worker


@contextlib.contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """A socket of the loopback address: of `port`, or else of the usual one or any free one."""
    ports = [_PORT, 0] if port is None else [port]
    for number in ports:
        with contextlib.suppress(OSError, OverflowError):
            listener = socket.create_server((_HOST, number))
            break
    else:
        raise InputError(f"port must be free and below 65536, got {port}; leave it out for any free one")
    with listener:
        yield listener
