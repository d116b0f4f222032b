"""Drive the studio in a headless Chromium and print its figures as JSON.

PYTHONPATH=. python experiments/018-studio/measure.py --photo FILE --painting FILE [--axe axe.min.js]
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from nst_jax.runs.folder import RunFolder
from tests.browser import chromium, wait_for

_STARTED = re.compile(r"http://127\.0\.0\.1:\d+/")
_STRENGTH = """
const field = document.querySelector('#strength input[type=number]');
field.value = 80;
field.dispatchEvent(new Event('input', {bubbles: true}));
field.dispatchEvent(new Event('change', {bubbles: true}));
"""
_LONG = 3600.0  # seconds, on a machine that does much else
_PICTURE, _DONE = "#picture img", "#compare img"


class Studio:
    """A studio in a process of its own, and its address."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        command = [sys.executable, "-m", "nst_jax.studio", "--no-browser", "--dir", str(folder / "studio"), "--port", "0"]
        environment = {**os.environ, "JAX_LOG_COMPILES": "1"}
        self.process = subprocess.Popen(command, stdout=self.log.open("w"), stderr=subprocess.STDOUT, env=environment)
        self.address = wait_for(lambda: (found := _STARTED.search(self.log.read_text())) and found[0], 120)

    def compilations(self) -> int:
        """Programs compiled so far, or loaded from the cache on disk."""
        return len(re.findall(r"Finished XLA compilation of", self.log.read_text()))

    def programs(self) -> int:
        """Of these, the ones that make the steps: one for each shape and scale."""
        return len(re.findall(r"Finished XLA compilation of jit\(run_chunk", self.log.read_text()))

    def holdings(self, folder: Path) -> dict[str, int]:
        """What the process holds: megabytes, threads, open files, child processes; and temporary files on the disk."""
        place = Path(f"/proc/{self.process.pid}")
        status = dict(re.findall(r"(VmRSS|Threads):\s+(\d+)", (place / "status").read_text()))
        files = [file for name in ("live", "temporary") for file in (folder / "studio" / name).rglob("*") if file.is_file()]
        children = (place / "task" / str(self.process.pid) / "children").read_text().split()
        return {
            "megabytes": int(status["VmRSS"]) // 1024,
            "threads": int(status["Threads"]),
            "open_files": len(list((place / "fd").iterdir())),
            "children": len(children),
            "temporary_files": len(files),
        }


@contextmanager
def studio(folder: Path) -> Iterator[Studio]:
    """A studio that ends with this."""
    started = Studio(folder)
    try:
        yield started
    finally:
        started.process.send_signal(signal.SIGINT)
        started.process.wait(120)


def usable(browser: Any, address: str) -> None:
    """Opens the page and waits until a picture can be dropped."""
    browser.get(address)
    assert wait_for(lambda: browser.find_elements("css selector", "#photo input[type=file]"), 60)
    assert wait_for(lambda: any("Choose" in status.text for status in browser.find_elements("id", "status")), 60)


def drop(browser: Any, photo: Path, painting: Path) -> None:
    """Gives the page its two pictures."""
    for name, file in (("photo", photo), ("painting", painting)):
        browser.find_element("css selector", f"#{name} input[type=file]").send_keys(str(file.resolve()))
        assert wait_for(lambda name=name: browser.find_elements("css selector", f"#{name} img[src*='/pictures/']"), 60)


def paint(browser: Any, until: str, seconds: float = _LONG) -> float:
    """Presses Paint; the seconds until the page shows the first picture, or the finished one."""
    before = {image.get_attribute("src") for image in browser.find_elements("css selector", f"{_PICTURE}, {_DONE}")}
    began = time.monotonic()
    browser.find_element("id", "start").click()
    script = "return [...document.querySelectorAll(arguments[0])].map((image) => image.src)"
    every = 3.0 if until == _DONE else 0.1  # asked ten times a second, the browser would slow the run down by a quarter
    assert wait_for(lambda: {*browser.execute_script(script, until)} - before, seconds, every)
    return round(time.monotonic() - began, 1)


def command_line(photo: Path, painting: Path, folder: Path) -> float:
    """The seconds of the same picture by `nst-jax`, in a new process."""
    began = time.monotonic()
    command = [sys.executable, "-m", "nst_jax", str(photo), str(painting), "--quiet", f"run.dir={folder}"]
    subprocess.run(command, check=True)
    return round(time.monotonic() - began, 1)


def asked_elsewhere(browser: Any) -> list[str]:
    """The addresses on other hosts that the page has asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url[:80] for url in urls if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "chrome"))]


def axe(browser: Any, script: Path) -> list[str]:
    """The serious and critical findings of axe-core."""
    browser.execute_script(script.read_text())
    found = browser.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {node['html'][:200]}" for one in serious for node in one["nodes"]]


def choose(browser: Any, size: int, more: list[str]) -> None:
    """Chooses a size, and writes settings under "More"."""
    browser.execute_script(f"document.querySelector('#size input[value=\"{size}\"]').click()")
    if not more:
        return
    fields = browser.find_element("id", "more")
    fields.find_element("tag name", "button").click()
    assert wait_for(lambda: fields.find_elements("tag name", "textarea"))
    for key, _, value in (setting.partition("=") for setting in more):
        field = fields.find_element("xpath", f".//label[.//*[normalize-space(text())='{key}']]//textarea")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        field.send_keys(value)
    browser.execute_script("scrollTo(0, 0)")


def first_and_second_run(browser: Any, server: Studio, options: argparse.Namespace) -> dict[str, Any]:
    """The first picture; with the option the whole run, once all is compiled; and a run at another strength."""
    figures: dict[str, Any] = {"first_picture_s": paint(browser, _PICTURE)}
    if options.command_line:
        assert wait_for(lambda: browser.find_elements("css selector", _DONE), _LONG)
        figures["finished_s"] = paint(browser, _DONE, _LONG)
    else:  # every scale is compiled once the last one has begun
        assert wait_for(lambda: f"{options.size} px" in browser.find_element("id", "status").text, _LONG)
        stop(browser)
    before = server.compilations()
    browser.execute_script(_STRENGTH)
    figures["first_change_s"] = paint(browser, _PICTURE)
    stop(browser)
    figures["compilations_before"] = before
    return figures | {"compilations_of_another_strength": server.compilations() - before}


def stop(browser: Any) -> None:
    """Stops the run, if it has not ended."""
    assert wait_for(lambda: browser.find_element("id", "stop").is_enabled(), 60)
    browser.execute_script("document.querySelector('#stop').click()")  # a click at a place may miss a button that moves
    assert wait_for(lambda: browser.find_element("id", "go_on").is_enabled(), 300)


def reloads_and_stops(browser: Any, server: Studio, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the process holds before and after."""
    before = server.holdings(folder)
    for _ in range(options.reloads):
        browser.refresh()
        assert wait_for(lambda: browser.find_elements("css selector", "#photo input[type=file]"), 60)
    assert wait_for(lambda: browser.find_element("id", "go_on").is_enabled(), 60)
    for _ in range(options.stops):
        browser.find_element("id", "go_on").click()
        stop(browser)
    time.sleep(20)  # connections that are idle are closed
    return {"before": before, "after": server.holdings(folder)}


def killed_batch(browser: Any, photo: Path, painting: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """20 photographs of 2 shapes, killed after 7 and started again: what was compiled, and whether the first 7 stayed."""
    photos, results = folder / "photos", folder / "studio" / "batches"
    photos.mkdir()
    with Image.open(photo) as image:
        for number in range(20):
            image.resize((160, 120 if number % 2 else 160)).save(photos / f"{number:02}.png")
    server = Studio(folder)
    usable(browser, server.address)
    choose(browser, options.size, options.more)
    drop(browser, photo, painting)
    browser.find_element("xpath", "//button[@role='tab'][contains(., 'Many')]").click()
    assert wait_for(lambda: browser.find_elements("css selector", "#batch_photos input[type=file]"), 60)
    browser.find_element("css selector", "#batch_photos input[type=file]").send_keys(
        "\n".join(map(str, sorted(photos.iterdir())))
    )
    assert wait_for(lambda: len(browser.find_elements("css selector", "#batch_photos tr")) == 20, 60)
    browser.find_element("id", "batch_start").click()

    def made() -> dict[str, int]:
        """When the picture of each finished run was written."""
        runs = [RunFolder(path.parent) for path in (folder / "studio" / "runs").rglob("manifest.json")]
        names = {run.path.name for run in runs if run.status() == "finished"}
        return {file.stem: file.stat().st_mtime_ns for file in results.rglob("*.png") if file.stem in names}

    assert wait_for(lambda: len(made()) >= 7, _LONG)
    server.process.kill()
    server.process.wait()
    first, compiled = made(), server.programs()
    began = time.monotonic()
    with studio(folder) as again:
        assert wait_for(lambda: len(made()) == 20, _LONG)
        return {
            "pictures_when_killed": len(first),
            "pictures_in_the_end": len(made()),
            "made_again": sum(made()[name] != when for name, when in first.items()),
            "step_programs_compiled": compiled,
            "step_programs_after_the_restart": again.programs(),
            "seconds_after_the_restart": round(time.monotonic() - began, 1),
        }


def main() -> None:
    """Measures everything once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--painting", type=Path, required=True)
    parser.add_argument("--axe", type=Path, help="axe.min.js of the npm package axe-core")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--more", nargs="*", default=[], help="settings KEY=VALUE")
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--batch", action="store_true", help="the batch that is killed, alone")
    parser.add_argument("--command-line", action="store_true", help="the whole run, beside the command line's")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder, began = Path(name), time.monotonic()
        if options.batch:
            print(json.dumps(killed_batch(browser, options.photo, options.painting, folder, options), indent=1))
            return
        with studio(folder) as server:
            usable(browser, server.address)
            figures: dict[str, Any] = {"start_to_usable_s": round(time.monotonic() - began, 1)}
            choose(browser, options.size, options.more)
            drop(browser, options.photo, options.painting)
            figures |= first_and_second_run(browser, server, options)
            if options.axe:
                figures["axe_serious"] = axe(browser, options.axe)
            figures["other_hosts"] = asked_elsewhere(browser)
            figures["console_errors"] = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
            print(json.dumps(figures), flush=True)
            figures |= reloads_and_stops(browser, server, folder, options)
        if options.command_line:
            figures["command_line_s"] = command_line(options.photo, options.painting, folder / "run")
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
