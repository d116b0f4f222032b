"""The studio: what its choices are on a command line, the queue, the guard, and the page in a browser."""

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.command.arguments import as_settings
from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.runs.folder import RunFolder
from nst_jax.studio import look as looks
from nst_jax.studio.folder import MAX_PIXELS, StudioFolder, check_upload, open_studio
from nst_jax.studio.history import command_line, entries
from nst_jax.studio.jobs import Job, Worker
from nst_jax.studio.look import Look, Region
from nst_jax.studio.regions import BRUSHES, painted_masks
from nst_jax.studio.server import Guard, serve
from tests.browser import chromium, look, wait_for
from tests.test_report import pixels

WAIT = 240.0  # seconds, on a machine that does much else
# A run of seconds.
SMALL = {
    "loss.content_layers": "[relu1_1]",
    "loss.style_layers": "[relu1_1]",
    "loss.style_distance": "mean_std",
    "steps": "4",
    "scales": "2",
}


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


def test_an_empty_editor_has_no_regions():
    with pytest.raises(InputError):
        painted_masks([np.zeros((32, 32, 4), np.uint8)])


def test_a_run_is_that_of_the_command_line(worker: Worker, photo: str, painting: str, tmp_path: Path, main: Any):
    worker.start()
    job = submit(worker, photo, Look(painting, size=64, more=SMALL))
    assert ended(job) == "finished"
    assert (job.step, job.run.status()) == (12, "finished")
    words = shlex.split(command_line(job.run.path))[1:]

    assert main(*as_settings([*words, f"run.dir={tmp_path / 'again'}", "run.quiet=true"]))[0] == 0
    assert (tmp_path / "again" / "result.png").read_bytes() == job.run.result.read_bytes()


def test_another_strength_compiles_nothing(worker: Worker, photo: str, painting: str, monkeypatch: pytest.MonkeyPatch):
    import jax

    compiled: list[int] = []
    compile_it = jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self: compiled.append(1) or compile_it(self))
    worker.start()
    first, second = (submit(worker, photo, Look(painting, strength, size=48, more=SMALL)) for strength in (50, 80))
    assert ended(first) == "finished"
    before = len(compiled)
    assert before
    assert ended(second) == "finished"
    assert len(compiled) == before
    assert read_image(first.run.result).sha256 != read_image(second.run.result).sha256


def test_a_stopped_run_keeps_its_picture_and_goes_on_in_another_studio(tmp_path: Path, main: Any):
    more = {**SMALL, "steps": "[4,100000]", "optimizer.name": "adam"}  # which does not end early
    with open_studio(tmp_path / "studio") as folder:
        worker = Worker(folder)
        photo, painting = (str(folder.keep_pixels(pixels(48, 64), name)) for name in ("photo.png", "painting.png"))
        worker.start()
        running, waiting = (submit(worker, photo, Look(painting, size=64, seed=s, more=more), f"run-{s}") for s in (1, 2))
        assert wait_for(lambda: running.picture and running.step > 6, WAIT)
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


def test_a_failure_is_said_and_the_next_run_goes_on(worker: Worker, photo: str, painting: str, studio: StudioFolder):
    bad, good = (submit(worker, photo, Look(painting, size=32, more=SMALL), name) for name in ("bad", "good"))
    (bad.run.path / "config.yaml").write_text("size: 16\n")
    worker.start()
    assert ended(good) == "finished"
    assert (bad.state, bool(bad.error)) == ("failed", True)
    assert [entry.name for entry in entries(studio)] == ["good"]
    assert entries(studio, "painting no-such-word") == []
    assert looks.read(good.run.path) == (photo, Look(painting, size=32, more=SMALL))


def test_a_batch_names_what_fails_and_goes_on(worker: Worker, studio: StudioFolder, painting: str, tmp_path: Path):
    pytest.importorskip("gradio", reason=WITHOUT)
    from nst_jax.studio.batch import start_batch
    from nst_jax.studio.shared import Studio

    worker.start()
    files = [str(studio.keep_pixels(pixels(32, side), "photo.png")) for side in (32, 48)]  # of one name
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    name, failed = start_batch(
        Studio(studio, worker, []), [files[0], str(tmp_path / "broken.png"), files[1]], Look(painting, size=32, more=SMALL)
    )
    assert [line.partition(":")[0] for line in failed] == ["broken.png"]
    results = studio.batches / name
    assert wait_for(lambda: len(list(results.iterdir())) == 2, WAIT)
    assert {file.name for file in results.iterdir()} == {"photo.png", "photo-2.png"}


def test_a_page_names_runs_of_the_studio_only(worker: Worker, tmp_path: Path):
    (tmp_path / "config.yaml").write_text("size: 16\n")
    for name in ("../..", str(tmp_path), "", "nothing"):
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


PHOTO, DONE = "#photo img[src*='/pictures/']", "#compare img"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, running: Any) -> Iterator[tuple[str, Path]]:
    """The studio in a process of its own: its address and its folder."""
    pytest.importorskip("gradio", reason=WITHOUT)
    folder = tmp_path_factory.mktemp("studio")
    write_image(folder / "photo.png", pixels(96, 128))
    write_image(folder / "painting.png", pixels(80, 80)[:, ::-1])
    command = [sys.executable, "-m", "nst_jax.studio", "--no-browser", "--port", "0", "--dir", str(folder / "studio")]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1) as process:
        assert process.stdout
        yield process.stdout.readline().split()[0], folder
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not (folder / "studio" / "temporary").exists()


@pytest.fixture(scope="module")
def browser(program: tuple[str, Path]) -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, program: tuple[str, Path]) -> Any:
    look(browser)
    browser.get_log("performance")
    return opened(browser, program[0])


def opened(browser: Any, address: str) -> Any:
    browser.get(address)
    assert wait_for(lambda: browser.find_elements("css selector", "#photo input[type=file]"), WAIT)
    assert wait_for(lambda: any(status.text for status in browser.find_elements("id", "status")), WAIT)
    return browser


def enabled(page: Any, name: str) -> Any:
    assert wait_for(lambda: page.find_element("id", name).is_enabled(), WAIT), name
    return page.find_element("id", name)


def drop_both(page: Any, folder: Path) -> None:
    for name in ("photo", "painting"):
        page.find_element("css selector", f"#{name} input[type=file]").send_keys(str(folder / f"{name}.png"))
        assert wait_for(lambda name=name: page.find_elements("css selector", PHOTO.replace("photo", name)), WAIT)


def fill(page: Any, settings: dict[str, str]) -> None:
    """Writes settings under "More"."""
    more = page.find_element("id", "more")
    if not more.find_elements("tag name", "textarea"):
        more.find_element("tag name", "button").click()
        assert wait_for(lambda: more.find_elements("tag name", "textarea"))
    for key, value in settings.items():
        field = more.find_element("xpath", f".//label[.//*[normalize-space(text())='{key}']]//textarea")
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        field.clear()
        field.send_keys(value)


def choose(page: Any, control: str, value: str) -> None:
    radio = page.find_element("css selector", f"#{control} input[value='{value}']")
    page.execute_script("arguments[0].click()", radio)


def test_a_picture_is_made_and_another_is_stopped_and_continued(page: Any, program: tuple[str, Path]):
    address, folder = program
    choose(page, "size", "256")
    fill(page, SMALL)  # first: programs are compiled as soon as both pictures are there
    drop_both(page, folder)
    page.find_element("id", "start").click()
    assert wait_for(lambda: page.find_elements("css selector", DONE), WAIT), page.find_element("id", "status").text
    assert page.find_element("css selector", "#command textarea").get_attribute("value").startswith("nst-jax /")
    (run,) = (folder / "studio" / "runs").iterdir()
    assert RunFolder(run).status() == "finished"

    fill(page, {"steps": "100000", "optimizer.name": "adam"})
    page.find_element("id", "start").click()
    assert wait_for(lambda: page.find_elements("css selector", "#picture img[src*='/live/']"), WAIT)
    enabled(page, "stop").click()
    enabled(page, "go_on")
    assert re.search(r"\d", page.find_element("id", "status").text)  # the steps
    assert [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    opened(page, address)  # the page remembers its run
    enabled(page, "go_on").click()
    enabled(page, "stop").click()
    enabled(page, "go_on")

    client = pytest.importorskip("gradio_client")
    studio = client.Client(address, verbose=False, download_files=str(folder / "downloads"))
    assert studio.predict(run.name, api_name="/progress")["state"] == "finished"
    assert read_image(studio.predict(run.name, api_name="/result")).sha256 == read_image(run / "result.png").sha256

    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith((address, "data:", "blob:", "chrome:"))] == []


def test_the_history_compares_and_gives_the_settings_back(page: Any):
    page.find_element("xpath", "//button[@role='tab'][contains(., 'History')]").click()
    assert wait_for(lambda: page.find_elements("css selector", "#gallery button img"), WAIT)
    page.find_elements("css selector", "#gallery button img")[-1].click()
    assert wait_for(lambda: len(page.find_elements("css selector", "#history_compare img")) == 2, WAIT)
    enabled(page, "history_download")
    page.find_element("id", "use_settings").click()
    assert wait_for(lambda: page.find_elements("css selector", PHOTO), WAIT)
    assert page.find_element("css selector", "#size input[value='256']").is_selected()


def test_what_is_missing_is_said_in_the_language_of_the_browser(page: Any, program: tuple[str, Path]):
    agent = {"userAgent": page.execute_script("return navigator.userAgent"), "acceptLanguage": "es"}
    page.execute_cdp_cmd("Emulation.setUserAgentOverride", agent)
    opened(page, program[0])
    assert wait_for(lambda: page.find_element("id", "start").text == "Pintar")
    page.find_element("id", "start").click()
    assert wait_for(lambda: "Elige primero una fotografía" in page.find_element("tag name", "body").text)
    page.execute_cdp_cmd("Emulation.setUserAgentOverride", {**agent, "acceptLanguage": "en"})


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1200, True)])
def test_it_fits_every_screen(page: Any, program: tuple[str, Path], width: int, dark: bool):
    look(page, width=width, dark=dark)
    opened(page, program[0])
    color = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(float(part)) for part in re.findall(r"[\d.]+", color)[:3]) < 200) == dark
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_it_serves_nothing_else(program: tuple[str, Path], tmp_path: Path):
    import urllib.error
    import urllib.request

    address, folder = program
    (folder / "secret.png").write_bytes((folder / "photo.png").read_bytes())
    run = next((folder / "studio" / "runs").iterdir())

    def status(path: str, **headers: str) -> int:
        try:
            return urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=20).status
        except urllib.error.HTTPError as refused:
            return refused.code

    assert status(f"gradio_api/file={run}/result.png") == 200
    for file in (folder / "secret.png", f"{run}/../../../secret.png", folder / "studio" / "queue.json", "/etc/passwd"):
        assert status(f"gradio_api/file={file}") in (403, 404)
    assert status("", Host="evil.example") == status("", Origin="http://evil.example") == 403
