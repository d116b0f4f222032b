"""Named pictures: the order of the places, hashes, the stand-in, and no waiting without a network."""

import hashlib
import io
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from nst_jax.errors import InputError
from nst_jax.images import named
from nst_jax.images.named import NAMED, find_image
from tests import logged


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, format="JPEG")
    return out.getvalue()


PHOTOGRAPH = jpeg(0)
DIGEST = hashlib.sha256(PHOTOGRAPH).hexdigest()


class Server:
    """Serves `body` at every address; `seconds` is how long it is silent before."""

    def __init__(self) -> None:
        self.body, self.seconds, self.requests = PHOTOGRAPH, 0.0, 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests += 1
                time.sleep(served.seconds)
                self.send_response(200)
                self.send_header("Content-Length", str(len(served.body)))
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/tubingen.jpg"


@pytest.fixture
def server(monkeypatch):
    served = Server()
    known = dict(NAMED) | {name: NAMED[name]._replace(address=served.address, sha256=DIGEST) for name in ("tubingen", "scream")}
    monkeypatch.setattr(named, "NAMED", MappingProxyType(known))
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch) -> tuple[Path, Path]:
    """The user's own folder and the cache, both empty."""
    own, cache = tmp_path / "own", tmp_path / "cache"
    own.mkdir()
    monkeypatch.setenv("NST_JAX_IMAGES", str(own))
    monkeypatch.setattr(named, "cache_folder", lambda: cache)
    return own, cache


def find(name: str):
    with logged() as said:
        return find_image(name), said


def test_bundled_files_have_the_hashes_they_are_known_by():
    folder = Path(named.__file__).parent / "bundled"
    for image in NAMED.values():
        if image.bundled and not image.address:
            assert hashlib.sha256((folder / image.bundled).read_bytes()).hexdigest() == image.sha256, image.title
    assert {path.name for path in folder.glob("*.jpg")} == {image.bundled for image in NAMED.values() if image.bundled}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000


def test_every_name_has_a_hash_and_a_place():
    for name, image in NAMED.items():
        assert len(bytes.fromhex(image.sha256)) == 32, name
        assert image.bundled or (image.address or "").startswith("https://"), name
        assert all((image.title, image.artist, image.license)), name


def test_starry_is_always_the_bundled_crop(places):
    (places[0] / "starry.jpg").write_bytes(PHOTOGRAPH)
    picture, said = find("starry")
    assert picture.pixels.shape == (1, 553, 700, 3)
    assert picture.sha256 == NAMED["starry"].sha256
    assert picture.source == "starry"
    assert said == []
    assert picture.notices == ()


def test_starry_has_no_pale_edge():
    picture, _ = find("starry")
    light = picture.pixels[0].mean(-1)
    edges = [light[:3].mean(), light[-3:].mean(), light[:, :3].mean(), light[:, -3:].mean()]
    assert max(edges) < 0.6
    assert min(edges) > 0.1


def test_own_folder_comes_before_cache_and_network(server: Server, places):
    (places[0] / "tubingen.jpg").write_bytes(PHOTOGRAPH)
    picture, said = find("tubingen")
    assert picture.sha256 == DIGEST
    assert picture.source == "tubingen"
    assert said == []
    assert server.requests == 0


def test_another_file_in_the_own_folder_is_used_and_said(server: Server, places):
    (places[0] / "tubingen.jpg").write_bytes(jpeg(1))
    picture, said = find("tubingen")
    assert picture.sha256 == hashlib.sha256(jpeg(1)).hexdigest()
    assert said == list(picture.notices)
    assert "not the known file" in said[0]
    assert server.requests == 0


def test_a_broken_file_in_the_own_folder_is_an_error_not_passed_over(server: Server, places):
    (places[0] / "tubingen.jpg").write_bytes(PHOTOGRAPH[:300])
    with pytest.raises(InputError, match="whole picture"):
        find("tubingen")


def test_the_photograph_is_fetched_once_and_said(server: Server, places):
    picture, said = find("tubingen")
    assert picture.sha256 == DIGEST
    assert picture.source == "tubingen"
    assert picture.notices == ()
    assert said == [f"image tubingen: fetching {server.address}"]
    assert [path.name for path in places[1].iterdir()] == ["tubingen.jpg"]
    picture, said = find("tubingen")
    assert picture.sha256 == DIGEST
    assert said == []
    assert server.requests == 1


def test_a_damaged_cache_is_fetched_again(server: Server, places):
    places[1].mkdir()
    (places[1] / "tubingen.jpg").write_bytes(jpeg(1))
    picture, _ = find("tubingen")
    assert picture.sha256 == DIGEST
    assert (places[1] / "tubingen.jpg").read_bytes() == PHOTOGRAPH


def test_a_download_of_another_hash_is_never_used(server: Server, places):
    server.body = jpeg(1)
    picture, said = find("tubingen")
    assert "drawing" in picture.source
    assert any("drawing" in notice for notice in said)
    assert list(places[1].iterdir()) == []


def test_without_network_the_drawing_stands_in_with_a_notice(server: Server):
    server.http.shutdown()
    server.http.server_close()
    picture, said = find("tubingen")
    assert picture.pixels.shape == (1, 768, 1024, 3)
    assert picture.source == "tubingen (bundled drawing)"
    assert said[-1] == picture.notices[0]
    assert "drawing that comes with nst_jax takes its place" in said[-1]


def test_a_silent_network_is_not_waited_for(server: Server, monkeypatch):
    monkeypatch.setattr(named, "_PATIENCE_S", 0.2)
    server.seconds = 1.5
    start = time.monotonic()
    picture, _ = find("tubingen")
    assert time.monotonic() - start < 1.2
    assert "drawing" in picture.source
    for thread in threading.enumerate():  # what comes late still serves the next call
        if thread.daemon and thread.name.endswith("(attempt)"):
            thread.join()
    picture, _ = find("tubingen")
    assert picture.sha256 == DIGEST


def test_a_cache_that_cannot_be_written_is_no_error(server: Server, tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(named, "cache_folder", lambda: tmp_path / "file")
    picture, _ = find("tubingen")
    assert "drawing" in picture.source


def test_a_name_without_stand_in_says_what_to_do(server: Server):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(InputError, match=r"image scream must be fetched .* NST_JAX_IMAGES"):
        find("scream")


def test_unknown_names_list_the_known_ones():
    with pytest.raises(InputError, match=r"image must be one of astronaut, .*scream.*; got 'stary'"):
        find("stary")


@pytest.mark.parametrize("name", ["neckarfront_drawing", "mosaic", "engraving"])
def test_drawings_are_made_again_from_their_seed(name: str, tmp_path: Path):
    words = (
        ["tools.samples", tmp_path, name] if name != "neckarfront_drawing" else ["tools.neckarfront", tmp_path / f"{name}.jpg"]
    )
    # A process of its own: type checks on each touch of the brush take minutes.
    subprocess.run([sys.executable, "-m", *words], check=True)
    with Image.open(tmp_path / f"{name}.jpg") as image:
        made = np.asarray(image, np.float32)
    with Image.open(Path(named.__file__).parent / "bundled" / f"{name}.jpg") as image:
        bundled = np.asarray(image, np.float32)
    assert np.abs(made - bundled).mean() < 0.05  # 0 with the Pillow it was made with; another JPEG coder may round


def test_the_drawing_has_texture_everywhere():
    folder = Path(named.__file__).parent / "bundled"
    with Image.open(folder / "neckarfront_drawing.jpg") as image:
        light = np.asarray(image.convert("L"), np.float32)
    patches = light.reshape(24, 32, 32, 32).swapaxes(1, 2).reshape(-1, 32 * 32)
    assert patches.std(1).min() > 1.5
