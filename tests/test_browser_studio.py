"""The studio's page in a browser, and its server before programs and strangers."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nst_jax.images.files import read_image, write_image
from nst_jax.runs.folder import RunFolder
from nst_jax.studio.folder import open_studio
from nst_jax.studio.jobs import Worker
from nst_jax.studio.look import Look, Region
from tests.browser import chromium, look, wait_for
from tests.test_report import pixels
from tests.test_studio import ONE_SCALE, WAIT, WITHOUT, submit

# Of every run here, at 256x192: all have the same programs. Adam goes on to the last step.
SMALL = ONE_SCALE | {"optimizer.name": "adam"}

PHOTO, DONE = "#photo img[src*='/pictures/']", "#compare img"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, running: Any) -> Iterator[tuple[str, Path]]:
    """The studio in a process of its own: its address, and its folder, which has a run, `harbor`, that was never painted."""
    pytest.importorskip("gradio", reason=WITHOUT)
    folder = tmp_path_factory.mktemp("studio")
    write_image(folder / "photo.png", pixels(96, 128))
    write_image(folder / "painting.png", pixels(80, 80)[:, ::-1])
    with open_studio(folder / "studio") as studio:
        photo, painting = (studio.keep(folder / f"{name}.png") for name in ("photo", "painting"))
        left = np.zeros((1, 96, 128, 3), np.float32)
        left[:, :, :64] = 1
        regions = (Region(str(studio.keep_pixels(left, "region-1.png"))), Region("rest", painted=False))
        look_of_it = Look(str(painting), size=256, more=SMALL, regions=regions)
        run = submit(Worker(studio), str(photo), look_of_it, "harbor").run
        run.write_result(pixels(192, 256), {})
        write_image(run.path / "result.tiff", pixels(192, 256))
        run.write_manifest(run.read_manifest() | {"status": "finished"})
    small = (  # the runs of other programs, too
        "import functools, nst_jax.studio.api as api, nst_jax.studio.__main__ as studio;"
        f"api.Look = functools.partial(api.Look, more={SMALL});"
        "studio.main()"
    )
    command = [sys.executable, "-c", small, "--no-browser", "--port", "0", "--dir", str(folder / "studio")]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=1) as process:
        assert process.stdout
        yield process.stdout.readline().split()[0], folder
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) == 0
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


def click(page: Any, element: Any) -> None:
    """By script: a click at a place misses a button that moves while the page is laid out."""
    page.execute_script("arguments[0].click()", element)


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
        click(page, more.find_element("tag name", "button"))
        assert wait_for(lambda: more.find_elements("tag name", "textarea"), WAIT)
    for key, value in settings.items():
        field = more.find_element("xpath", f".//label[.//*[normalize-space(text())='{key}']]//textarea")
        page.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        field.clear()
        field.send_keys(value)


def choose(page: Any, control: str, value: str) -> None:
    click(page, page.find_element("css selector", f"#{control} input[value='{value}']"))


def test_a_picture_is_made_and_another_is_stopped_and_continued(page: Any, program: tuple[str, Path]):
    address, folder = program
    before = {*(folder / "studio" / "runs").iterdir()}
    choose(page, "size", "256")
    fill(page, SMALL)  # first: programs are compiled as soon as both pictures are there
    drop_both(page, folder)
    click(page, page.find_element("id", "start"))
    assert wait_for(lambda: page.find_elements("css selector", DONE), WAIT), page.find_element("id", "status").text
    assert page.find_element("css selector", "#command textarea").get_attribute("value").startswith("nst-jax /")
    (run,) = {*(folder / "studio" / "runs").iterdir()} - before
    assert RunFolder(run).status() == "finished"

    fill(page, {"steps": "100000"})
    click(page, page.find_element("id", "start"))
    assert wait_for(lambda: page.find_elements("css selector", "#picture img[src*='/live/']"), WAIT)
    click(page, enabled(page, "stop"))
    enabled(page, "go_on")
    assert re.search(r"\d", page.find_element("id", "status").text)  # the steps
    assert [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    opened(page, address)  # the page remembers its run
    click(page, enabled(page, "go_on"))
    click(page, enabled(page, "stop"))
    enabled(page, "go_on")

    client = pytest.importorskip("gradio_client")
    studio = client.Client(address, verbose=False, download_files=str(folder / "downloads"))
    assert studio.predict(run.name, api_name="/progress")["state"] == "finished"
    assert read_image(studio.predict(run.name, api_name="/result")).sha256 == read_image(run / "result.png").sha256

    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith((address, "data:", "blob:", "chrome"))] == []


def test_comfyui_paints_by_the_studio(program: tuple[str, Path], monkeypatch: pytest.MonkeyPatch):
    from tools.comfyui.nst_jax_studio import StyleTransfer

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=lambda array: array))
    images = {"photo": np.repeat(pixels(48, 64), 2, 0), "painting": pixels(40, 40)}
    chosen = {"strength": 50, "stroke": 1.0, "size": 256, "colors": "style", "preset": "quality", "seed": 3}
    with pytest.raises(RuntimeError, match="choices"):
        StyleTransfer().paint(**images, **chosen | {"preset": "none"}, address=program[0])
    with pytest.raises(RuntimeError, match="nst-jax studio"):
        StyleTransfer().paint(**images, **chosen, address="http://127.0.0.1:1")
    (made,) = StyleTransfer().paint(**images, **chosen, address=program[0])
    assert made.shape == (2, 192, 256, 3)
    assert np.abs(made[0] - made[1]).max() == 0
    assert 0.02 < made.std() < 0.5


def test_the_history_compares_and_gives_the_settings_back(page: Any):
    click(page, page.find_element("xpath", "//button[@role='tab'][contains(., 'History')]"))
    assert wait_for(lambda: page.find_elements("css selector", "#gallery button img"), WAIT)
    search = page.find_element("css selector", "#search textarea, #search input")
    search.send_keys("harbor\n")
    assert wait_for(lambda: len(page.find_elements("css selector", "#gallery button img")) == 1, WAIT)
    click(page, page.find_element("css selector", "#gallery button img"))
    assert wait_for(lambda: len(page.find_elements("css selector", "#history_compare img")) == 2, WAIT)
    enabled(page, "history_download")
    assert page.find_element("id", "history_tiff").is_enabled()
    click(page, page.find_element("id", "use_settings"))
    assert wait_for(lambda: page.find_elements("css selector", PHOTO), WAIT)
    assert page.find_element("css selector", "#size input[value='256']").is_selected()
    click(page, page.find_element("css selector", "#regions button"))
    assert wait_for(lambda: page.find_elements("css selector", "#regions_use input"), WAIT)
    assert page.find_element("css selector", "#regions_use input").is_selected()
    assert wait_for(lambda: page.find_elements("css selector", "#editor canvas"), WAIT)


def test_what_is_missing_is_said_in_the_language_of_the_browser(page: Any, program: tuple[str, Path]):
    agent = {"userAgent": page.execute_script("return navigator.userAgent"), "acceptLanguage": "es"}
    page.execute_cdp_cmd("Emulation.setUserAgentOverride", agent)
    opened(page, program[0])
    assert wait_for(lambda: page.find_element("id", "start").text == "Pintar", WAIT)
    click(page, page.find_element("id", "start"))
    assert wait_for(lambda: "Elige primero una fotografía" in page.find_element("tag name", "body").text, WAIT)
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
    run = folder / "studio" / "runs" / "harbor"

    def status(path: str, **headers: str) -> int:
        try:
            return urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=WAIT).status
        except urllib.error.HTTPError as refused:
            return refused.code

    assert status(f"gradio_api/file={run}/result.png") == 200
    for file in (folder / "secret.png", f"{run}/../../../secret.png", folder / "studio" / "queue.json", "/etc/passwd"):
        assert status(f"gradio_api/file={file}") in (403, 404)

    def asked_for(path: str) -> bytes:
        """What is answered to another program that names a file of this machine as its photograph."""
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        body = json.dumps({"data": [file, file, 50, 1.0, 256, "style", "quality", 0]}).encode()
        call = urllib.request.Request(f"{address}gradio_api/call/start", body, {"Content-Type": "application/json"})
        event = json.loads(urllib.request.urlopen(call, timeout=WAIT).read())["event_id"]
        return urllib.request.urlopen(f"{address}gradio_api/call/start/{event}", timeout=WAIT).read()

    for file in (folder / "secret.png", f"{run}/../../../secret.png", "/etc/passwd"):
        assert b"event: error" in asked_for(str(file))
    assert [*(folder / "studio").rglob("secret.png"), *(folder / "studio").rglob("passwd")] == []
    assert status("", Host="evil.example") == status("", Origin="http://evil.example") == 403
