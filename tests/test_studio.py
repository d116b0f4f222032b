"""The studio: what its choices are on a command line, the queue, the guard, and the page in a browser."""

import asyncio
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.command.arguments import as_settings
from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.images.video import decode_film, write_film
from nst_jax.job import compile as programs
from nst_jax.studio import look as looks
from nst_jax.studio.folder import MAX_PIXELS, StudioFolder, check_upload, open_studio
from nst_jax.studio.history import command_line, entries
from nst_jax.studio.jobs import Job, Worker
from nst_jax.studio.look import Look, Region
from nst_jax.studio.regions import BRUSHES, grown, painted_layer, painted_masks
from nst_jax.studio.server import Guard, serve
from tests.browser import wait_for
from tests.test_files import dng_bytes
from tests.test_report import pixels

WAIT = 240.0  # seconds, on a machine that does much else
# A run of seconds, with the same programs at 32 pixels in nearly every test.
SMALL = {
    "loss.content_layers": "[relu1_1]",
    "loss.style_layers": "[relu1_1]",
    "loss.style_distance": "mean_std",
    "steps": "4",
    "scales": "2",
}
ONE_SCALE = SMALL | {"scales": "1"}


WITHOUT = 'Gradio is not installed: pip install "nst-jax[studio]"'


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StudioFolder]:
    with open_studio(tmp_path / "studio") as folder:
        yield folder


@pytest.fixture
def worker(studio: StudioFolder) -> Iterator[Worker]:
    worker = Worker(studio)
    yield worker
    worker.close()


@pytest.fixture
def photo(studio: StudioFolder) -> str:
    return str(studio.keep_pixels(pixels(48, 64), "photo.png"))


@pytest.fixture
def painting(studio: StudioFolder) -> str:
    return str(studio.keep_pixels(pixels(40, 40)[:, ::-1], "painting.png"))


def submit(worker: Worker, photo: str, chosen: Look, name: str = "") -> Job:
    return worker.submit(Path(photo), chosen, run=worker.folder.new_run(name))


def ended(job: Job) -> str:
    assert wait_for(lambda: not job.is_open, WAIT)
    assert job.error == ""
    return job.state


def test_choices_are_the_command_line(photo: str, painting: str):
    chosen = Look(painting, 100, 0.5, 256, "luminance", "fast", 7, more={"loss.tv_weight": "3"})
    config = looks.compose(looks.words(photo, chosen))
    assert (config.content.path, config.style.path, config.size, config.color) == (photo, painting, 256, "luminance")
    assert (config.style.scale, config.seed, config.init, config.loss.tv_weight) == (0.5, 7, "adain", 3)
    assert config.strength == 1


@pytest.mark.parametrize(
    "more",
    [
        {"run.dir": "/elsewhere"},
        {"imports": "[os]"},
        {"content.path": "/etc/passwd"},
        {"init": "/etc/passwd"},
        {"optimizer.name": "${oc.env:HOME}"},
        {"steps": "none"},
    ],
)
def test_a_page_gives_no_paths_no_code_and_no_nonsense(photo: str, painting: str, more: dict[str, str]):
    with pytest.raises(InputError):
        looks.compose(looks.words(photo, Look(painting, more=more)))


def test_regions_become_the_settings_of_masks(studio: StudioFolder, photo: str, painting: str):
    layer = np.zeros((48, 64, 4), np.uint8)
    layer[:24] = [*(int(BRUSHES[0][place : place + 2], 16) for place in (1, 3, 5)), 255]
    layer[40:, :8] = [*(int(BRUSHES[2][place : place + 2], 16) for place in (1, 3, 5)), 255]
    masks = painted_masks([layer])
    assert {number: float(mask.mean()) for number, mask in masks.items()} == {0: 0.5, 2: pytest.approx(64 / 3072)}
    assert painted_masks([layer], feather=8)[0][0, 24, 30, 0] == pytest.approx(0.5, abs=0.35)
    chosen = Look(painting, regions=(Region(photo, painted=False), Region("rest", "starry")))
    config = looks.compose(looks.words(photo, chosen))
    assert (config.mask.regions, config.mask.weights) == ([photo, "rest"], [0, 1])
    assert [Path(one.path or "").name for one in config.style.pictures] == ["painting.png", "starry_night.jpg"]


def scribble(height: int, width: int, strokes: dict[int, tuple[slice, slice]]) -> np.ndarray:
    """A layer of the editor, with strokes by the number of the brush."""
    layer = np.zeros((height, width, 4), np.uint8)
    for number, place in strokes.items():
        layer[place] = [*(int(BRUSHES[number][at : at + 2], 16) for at in (1, 3, 5)), 255]
    return layer


def test_a_scribble_grows_to_what_it_marks():
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    noise = np.random.default_rng(0).integers(0, 20, (120, 160, 3))
    photo = (noise + np.array([40, 90, 40])).astype(np.uint8)  # a meadow
    photo[:50] = noise[:50] + np.array([60, 120, 220])  # the sky
    photo[70:100, 40:70] = photo[70:100, 110:140] = noise[70:100, :30] + np.array([200, 40, 40])  # two barns
    strokes = {0: (slice(82, 88), slice(48, 62)), 2: (slice(10, 16), slice(20, 140))}
    masks = painted_masks([grown(photo, [scribble(120, 160, strokes)])])
    barn, sky = np.zeros((2, 120, 160), bool)
    barn[70:100, 40:70], sky[:50] = True, True  # the other barn was not marked
    for mask, part in ((masks[0], barn), (masks[2], sky)):
        inside = mask[0, :, :, 0] > 0.5
        assert (inside & part).sum() / (inside | part).sum() > 0.9


def test_without_opencv_a_scribble_stays_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"nst-jax\[studio\]"):
        grown(np.zeros((32, 32, 3), np.uint8), [scribble(32, 32, {0: (slice(8), slice(8))})])


def test_masks_become_the_layer_that_they_were_painted_as():
    layer = scribble(64, 64, {0: (slice(0, 20), slice(0, 64)), 1: (slice(40, 60), slice(8, 50))})
    assert np.array_equal(painted_layer(painted_masks([layer])), layer)
    assert (painted_layer(painted_masks([layer], feather=8)) != layer).any(-1).mean() < 0.04


def test_an_empty_editor_has_no_regions():
    with pytest.raises(InputError):
        painted_masks([np.zeros((32, 32, 4), np.uint8)])


def test_a_run_is_that_of_the_command_line(worker: Worker, photo: str, painting: str, tmp_path: Path, main: Any):
    left = np.zeros((1, 48, 64, 3), np.float32)
    left[:, :, :24] = 1
    regions = (Region(str(worker.folder.keep_pixels(left, "left.png"))), Region("rest", painted=False))
    worker.start()
    job = submit(worker, photo, Look(painting, size=64, more=SMALL, regions=regions))
    assert ended(job) == "finished"
    assert (job.step, job.run.status()) == (12, "finished")
    assert "mask" in job.run.read_manifest()["inputs"]
    words = shlex.split(command_line(job.run.path))[1:]

    assert main(*as_settings([*words, f"run.dir={tmp_path / 'again'}", "run.quiet=true"]))[0] == 0
    assert (tmp_path / "again" / "result.png").read_bytes() == job.run.result.read_bytes()


def test_a_page_is_sent_what_has_changed_alone(worker: Worker, photo: str, painting: str):
    from nst_jax.studio.shared import Studio, gr
    from nst_jax.studio.view import Session, shown

    studio = Studio(worker.folder, worker, [])
    job = submit(worker, photo, Look(painting, size=32, more=ONE_SCALE))

    def sent(session: Session) -> tuple[Session, set[int]]:
        found = shown(studio, session, None)
        changed = {number for number, update in enumerate(found) if update != gr.skip()}
        return (found[0] if 0 in changed else session), changed

    session, changed = sent(Session(job.name))
    assert changed == set(range(11))
    assert sent(session)[1] == {3}  # the line that says how far it is
    job.picture = Path(photo)
    session, changed = sent(session)
    assert changed == {0, 1, 2, 3, 9}  # the pictures, and from now on rarely
    worker.stop(job.name)
    assert sent(session)[1] == set(range(11))


def test_another_strength_compiles_nothing(worker: Worker, photo: str, painting: str, compilations: list[str]):
    worker.start()
    first = submit(worker, photo, Look(painting, 50, size=32, more=ONE_SCALE))
    assert ended(first) == "finished"
    known = programs._compile.cache_info()
    compilations.clear()
    second = submit(worker, photo, Look(painting, 80, size=32, more=ONE_SCALE))
    assert ended(second) == "finished"
    found = programs._compile.cache_info()
    assert (found.misses, compilations) == (known.misses, [])
    assert found.hits > known.hits
    assert read_image(first.run.result).sha256 != read_image(second.run.result).sha256


def test_a_stopped_run_keeps_its_picture_and_goes_on_in_another_studio(tmp_path: Path, main: Any):
    more = {**ONE_SCALE, "steps": "100000", "optimizer.name": "adam"}  # which does not end early
    with open_studio(tmp_path / "studio") as folder:
        worker = Worker(folder)
        photo, painting = (str(folder.keep_pixels(pixels(48, 64), name)) for name in ("photo.png", "painting.png"))
        worker.start()
        running, waiting = (submit(worker, photo, Look(painting, size=32, seed=s, more=more), f"run-{s}") for s in (1, 2))
        assert wait_for(lambda: running.picture and running.step > 2, WAIT)
        assert worker.before("run-2") == 1
        worker.stop("run-2")
        worker.stop("run-1")
        assert ended(running) == "interrupted"
        assert (running.run.status(), waiting.state) == ("interrupted", "interrupted")
        assert running.run.result.exists()
        worker.go_on("run-1")
        assert wait_for(lambda: worker.find("run-1").step > running.step, WAIT)
        worker.close()  # as at the end of the program
    with open_studio(tmp_path / "studio") as folder:
        worker = Worker(folder)
        assert worker.find("run-1").state == "interrupted"
        worker.start()
        assert wait_for(lambda: worker.find("run-1").state == "running", WAIT)  # without being asked
        worker.close()
        assert worker.find("run-2").state == "interrupted"  # that was put aside


def test_a_run_can_be_downloaded_with_16_bits(worker: Worker, photo: str, painting: str):
    worker.start()
    job = submit(worker, photo, Look(painting, size=32, more=ONE_SCALE))
    assert ended(job) == "finished"
    eight, sixteen = (read_image(job.run.path / name).pixels for name in ("result.png", "result.tiff"))
    assert 0 < np.abs(eight - sixteen).max() < 0.51 / 255


def test_a_failure_is_said_and_the_next_run_goes_on(worker: Worker, photo: str, painting: str, studio: StudioFolder):
    bad, good = (submit(worker, photo, Look(painting, size=32, more=ONE_SCALE), name) for name in ("bad", "good"))
    (bad.run.path / "config.yaml").write_text("size: 16\n")
    worker.start()
    assert ended(good) == "finished"
    assert (bad.state, bool(bad.error)) == ("failed", True)
    assert [entry.name for entry in entries(studio)] == ["good"]
    assert entries(studio, "painting no-such-word") == []
    assert looks.read(good.run.path) == (photo, Look(painting, size=32, more=ONE_SCALE))


def test_a_batch_names_what_fails_and_goes_on(worker: Worker, studio: StudioFolder, painting: str, tmp_path: Path):
    pytest.importorskip("gradio", reason=WITHOUT)
    from nst_jax.studio.batch import start_batch
    from nst_jax.studio.shared import Studio

    worker.start()
    files = [str(studio.keep_pixels(pixels(48, 64)[:, ::step], "photo.png")) for step in (1, -1)]  # of one name
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    name, failed = start_batch(
        Studio(studio, worker, []),
        [files[0], str(tmp_path / "broken.png"), files[1]],
        Look(painting, size=32, more=ONE_SCALE),
        "webp",
    )
    assert [line.partition(":")[0] for line in failed] == ["broken.png"]
    results = studio.batches / name
    assert wait_for(lambda: len(list(results.glob("*.webp"))) == 2, WAIT)  # not those that are being written
    assert {file.name for file in results.iterdir()} == {"photo.webp", "photo-2.webp"}


def test_a_film_is_painted_by_the_look_of_a_page(worker: Worker, studio: StudioFolder, painting: str, tmp_path: Path):
    pytest.importorskip("av")
    pytest.importorskip("cv2")
    frames = [(255 * pixels(48, 64 + i)[0][:, i:]).astype(np.uint8) for i in range(3)]
    write_film(tmp_path / "film.mp4", frames, [0.0, 0.1, 0.2])
    film = studio.keep_film(tmp_path / "film.mp4")
    assert studio.keep_film(tmp_path / "film.mp4") == film
    job = worker.submit_film(film, Look(painting, size=32, more=ONE_SCALE), preview=True)
    worker.start()
    assert ended(job) == "finished"
    assert len(list(decode_film(job.run.path / "result.mp4"))) == 3
    assert job.step == job.steps
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(InputError, match="film"):
        studio.keep_film(tmp_path / "text.mp4")


def test_the_regions_of_a_run_come_back_to_the_page(worker: Worker, studio: StudioFolder, photo: str, painting: str):
    pytest.importorskip("gradio", reason=WITHOUT)
    from nst_jax.studio.controls import as_regions, region_values
    from nst_jax.studio.shared import Painting, Studio

    shared = Studio(studio, worker, [Painting("another", Path(photo))])
    layer = scribble(48, 64, {0: (slice(0, 20), slice(0, 64)), 2: (slice(30, 48), slice(8, 50))})
    fates = ["leave", "paint", photo, "paint"]
    chosen = Look(painting, regions=as_regions(studio, [layer], 4, False, fates), feather=4)
    used, editor, feather, inverted, *back = region_values(shared, Path(photo), chosen)
    assert (used, feather, inverted, back) == (True, 4, False, fates)
    assert (editor["layers"][0][5::10, 5::10] != layer).any(-1).mean() < 0.05  # on a canvas of 640x480
    assert region_values(shared, Path(photo), Look(painting))[:2] == [False, None]


def test_every_text_is_translated():
    pytest.importorskip("gradio", reason=WITHOUT)
    from nst_jax.studio.texts import SETTINGS_ES, TEXTS

    about = {key: setting.about for key, setting in looks.settings().items()}
    assert all(about.values())
    assert SETTINGS_ES.keys() == about.keys()
    assert all(spanish and spanish != about[key] for key, spanish in SETTINGS_ES.items())
    assert all(english and spanish for english, spanish in TEXTS.values())


def test_a_page_names_runs_of_the_studio_only(worker: Worker, tmp_path: Path):
    (tmp_path / "config.yaml").write_text("size: 16\n")
    for name in ("../..", str(tmp_path), "", "nothing", "a\0", "a" * 5000):
        with pytest.raises(InputError):
            worker.find(name)


def test_uploads_are_limited_and_kept_once(studio: StudioFolder, tmp_path: Path):
    write_image(tmp_path / "día (1)=$.tif", pixels(20, 30))
    kept = studio.keep(tmp_path / "día (1)=$.tif")
    assert kept == studio.keep(tmp_path / "día (1)=$.tif")
    assert (kept.name, kept.parent.parent) == ("día_1.png", studio.pictures)
    (tmp_path / "page.png").write_text("<html>")
    from PIL import Image

    Image.new("1", (MAX_PIXELS // 1000 + 1, 1000)).save(tmp_path / "large.png")
    for name in ("page.png", "large.png", "missing.png"):
        with pytest.raises(InputError):
            studio.keep(tmp_path / name)
    check_upload(kept)
    pytest.importorskip("rawpy")
    (tmp_path / "camera.dng").write_bytes(dng_bytes(np.full((32, 48), 9000, np.uint16)))
    assert studio.keep(tmp_path / "camera.dng").name == "camera.png"


def test_of_a_picture_that_is_written_again_two_versions_are_shown(studio: StudioFolder, tmp_path: Path):
    file, shown = tmp_path / "result.png", []
    for side in (16, 20, 24, 28):
        write_image(file, pixels(side, side))
        shown += [studio.as_shown(file), studio.thumbnail(file)]
    assert read_image(shown[-2]).sha256 == read_image(file).sha256
    assert studio.as_shown(file) == shown[-2]
    assert [path.exists() for path in shown] == [False] * 4 + [True] * 4


def test_a_folder_has_one_studio_and_forgets_what_no_run_needs(tmp_path: Path):
    with open_studio(tmp_path) as folder:
        lost = folder.keep_pixels(pixels(16, 16), "lost.png")
        (folder.temporary / "upload.png").touch()
        with pytest.raises(InputError), open_studio(tmp_path):
            pass
    assert not folder.temporary.exists()
    with open_studio(tmp_path):
        assert not lost.exists()


def test_without_gradio_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "nst_jax.studio.shared", raising=False)  # which has it
    with pytest.raises(InputError, match=r"nst-jax\[studio\]"):
        serve(tmp_path, None, 0, False)


def asked(headers: dict[str, str], path: str = "/gradio_api/queue/join") -> int:
    """The status of a request, by the guard of port 7860."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Guard(app, 7860)({"type": "http", "path": path, "headers": raw}, None, send))
    return sent[0]["status"]


def test_the_guard_hears_its_own_page_only():
    own = {"host": "127.0.0.1:7860"}
    assert asked(own) == asked({"host": "localhost:7860", "origin": "http://localhost:7860"}) == 200
    assert asked({**own, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}) == 200
    assert asked({**own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "/") == 200  # a link
    for headers in ({}, {"host": "evil.example:7860"}, {**own, "origin": "http://evil.example"}, {**own, "origin": "null"}):
        assert asked(headers) == 403
    assert asked({**own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}) == 403
    assert asked(own, "/gradio_api/file=http://evil.example/a.png") == 403
