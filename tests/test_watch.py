"""The server of a running run: what it answers, and to whom and for what it does not."""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waitress import wasyncore

from nst_jax import watch
from nst_jax.report import server as server_module
from nst_jax.report.server import live_page, serve
from nst_jax.runs.folder import FORMAT, RunFolder, create_run_folder
from tests.test_report import pixels, rows


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET", host: str | None = None) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, answer.headers

    def state(self, after: int = 0) -> dict[str, Any]:
        return json.loads(self.ask(f"/state.json?after={after}")[1])


@contextlib.contextmanager
def served(folder: Path, page: Callable[[Path], str]) -> Iterator[int]:
    """A server in a thread; its port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(server_module._LIMITS, "asyncore_loop_timeout", 0.05)  # how long `close` takes
        server = serve(folder, 0, page)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield server.effective_port
    server.close()
    wasyncore.close_all(server._map)  # connections that a browser keeps
    thread.join(timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "secret.txt").write_text("secret")
    folder = create_run_folder(tmp_path / "run", "size: 32\n")
    folder.write_inputs({"content": pixels(24, 32)}, size=32)
    return folder


@pytest.fixture
def client(folder: RunFolder) -> Iterator[Client]:
    with served(folder.path, live_page) as port:
        yield Client(port)


def test_the_page_and_what_it_asks_for_follow_the_run(client: Client, folder: RunFolder):
    status, page, headers = client.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'data-live="0"' in page
    assert client.state() == {"state": "interrupted", "line": "no step yet", "rows": None, "picture": None, "scales": 0}
    folder.append_metrics(rows(2))
    folder.write_current(pixels(12, 16))
    first = client.state()
    assert first["rows"] == {
        "step": [1, 2], "size": [16, 16], "seconds": [0.0, 0.5], "loss": [10.0, 9.0], "content": [1.0, 1.0],
        "style": [9.0, 8.0],
    }  # fmt: skip
    assert client.ask("/" + first["picture"])[1] == folder.current.read_bytes()
    folder.append_metrics(rows(4)[2:])
    folder.write_current(pixels(16, 16))
    second = client.state(after=2)
    assert (second["rows"]["step"], second["scales"]) == ([3, 4], 2)
    assert second["picture"] != first["picture"]
    assert client.state(after=4)["rows"] is None
    folder.write_result(pixels(16, 16), {})
    folder.write_manifest({"format": FORMAT, "status": "finished"})
    assert client.state(after=4)["state"] == "finished"
    assert client.state()["picture"].startswith("result.png?")
    assert b"<body>" in client.ask("/")[1]  # no more to follow


def test_a_term_that_is_zero_at_first_is_null_until_it_begins(client: Client, folder: RunFolder):
    folder.append_metrics(rows(1, content=0.0) + rows(1, content=0.5))
    assert client.state()["rows"]["content"] == [None, 0.5]


ESCAPES = ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//../secret.txt", "/inputs/../../secret.txt"]
LINKS = ["/link.txt", "/linked/report.html", "/../run2/"]
NO_FILES = ["/..%5csecret.txt", "/%00", "/nothing", "/inputs/", "/state.json?after=x"]


@pytest.mark.parametrize("path", [*ESCAPES, *LINKS, *NO_FILES, "/" + "a" * 5000])
def test_nothing_outside_the_folder_is_served(client: Client, folder: RunFolder, path: str):
    (folder.path / "link.txt").symlink_to(folder.path.parent / "secret.txt")
    other = create_run_folder(folder.path.parent / "run2", "secret")
    (folder.path / "linked").symlink_to(other.path)
    status, body, _ = client.ask(path)
    assert status == 404
    assert b"secret" not in body.replace(path.encode(), b"")


def test_the_absolute_path_of_a_file_is_taken_within_the_folder(client: Client, folder: RunFolder):
    assert client.ask(str(folder.path.parent / "secret.txt"))[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1", "127.0.0.1:1", "[::1]"])
def test_a_foreign_name_for_this_machine_is_refused(client: Client, host: str):
    assert client.ask("/", host=host)[0] == 403
    assert client.ask("/", host=f"localhost:{client.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_get_and_head_only(client: Client, method: str):
    assert client.ask("/config.yaml", method=method)[0] == 405
    status, body, headers = client.ask("/config.yaml", method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "9")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_pipes_devices_and_loops_are_not_read(client: Client, folder: RunFolder):
    os.mkfifo(folder.path / "pipe")
    (folder.path / "loop").symlink_to(folder.path / "loop")
    assert [client.ask(f"/{name}")[0] for name in ("pipe", "loop")] == [404, 404]


def test_many_requests_at_once_are_answered_beside_idle_connections(client: Client, folder: RunFolder):
    idle = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(100)]
    for number, connection in enumerate(idle):
        connection.sendall(b"GET / HTTP/1.1\r\nHost:"[: number % 3 * 10])
    with ThreadPoolExecutor(200) as pool:
        assert {*pool.map(lambda _: client.ask("/config.yaml")[0], range(200))} == {200}
    for connection in idle:
        connection.close()


def test_idle_connections_are_dropped(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(server_module._LIMITS, "channel_timeout", 1)
    monkeypatch.setitem(server_module._LIMITS, "cleanup_interval", 1)
    with served(folder.path, live_page) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as idle:
        idle.sendall(b"GET / HT")
        assert idle.recv(1) == b""


def test_only_this_machine_is_answered_and_no_other_page_may_show_it(client: Client, folder: RunFolder):
    with served(folder.path, live_page) as port, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", port))
    headers = client.ask("/")[2]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def call(capsys: Any, *arguments: str) -> tuple[int, str]:
    return watch.main(arguments), capsys.readouterr().err


def test_no_run_folder_and_a_taken_port_are_one_line(client: Client, folder: RunFolder, capsys):
    code, said = call(capsys, str(folder.path.parent))
    assert (code, bool(re.fullmatch(r"error: run folder must hold a readable config\.yaml[^\n]*\n", said))) == (2, True)
    for port in (client.port, 70000):
        code, said = call(capsys, str(folder.path), "--port", str(port))
        assert (code, bool(re.fullmatch(rf"error: port [^\n]* got {port}; [^\n]*\n", said))) == (2, True)


def test_the_command_says_where_and_ends_with_an_interrupt(folder: RunFolder, running):
    command = [sys.executable, "-m", "nst_jax.watch", str(folder.path)]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/ [^\n]*\n", process.stdout.readline())
        assert said
        assert Client(int(said[1])).ask("/")[0] == 200
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_recorder_shows_the_picture_every_few_seconds(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    from nst_jax.runs import callback as recorder
    from tests.test_callback import Bar, report

    now = iter([0.0, 0.0, 1.0, 4.9, 5.1, 5.1, 20.0])
    monkeypatch.setattr(recorder.time, "monotonic", lambda: next(now))
    record, sizes = recorder.Recorder(folder, Bar(), 1), []
    for step in (1, 2, 3, 4):
        record(report(step, step))
        sizes.append(folder.current.stat().st_mtime_ns)
    assert [a == b for a, b in itertools.pairwise(sizes)] == [True, True, False]
    folder.write_result(np.zeros((1, 16, 16, 3), np.float32), {})
    record(report(5, 5, ends=True))
    assert not folder.current.exists()
