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

from tests.browser import chromium, wait_for

_STARTED = re.compile(r"http://127\.0\.0\.1:\d+/")
_STRENGTH = """
const field = document.querySelector('#strength input[type=number]');
field.value = 80;
field.dispatchEvent(new Event('input', {bubbles: true}));
field.dispatchEvent(new Event('change', {bubbles: true}));
"""
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
    assert wait_for(lambda: "Choose" in browser.find_element("id", "status").text, 60)


def drop(browser: Any, photo: Path, painting: Path) -> None:
    """Gives the page its two pictures."""
    for name, file in (("photo", photo), ("painting", painting)):
        browser.find_element("css selector", f"#{name} input[type=file]").send_keys(str(file))
        assert wait_for(lambda name=name: browser.find_elements("css selector", f"#{name} img[src*='/pictures/']"), 60)


def paint(browser: Any, until: str, seconds: float = 900) -> float:
    """Presses Paint; the seconds until the page shows the first picture, or the finished one."""
    before = {image.get_attribute("src") for image in browser.find_elements("css selector", f"{_PICTURE}, {_DONE}")}
    began = time.monotonic()
    browser.find_element("id", "start").click()
    script = "return [...document.querySelectorAll(arguments[0])].map((image) => image.src)"
    assert wait_for(lambda: {*browser.execute_script(script, until)} - before, seconds)
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
    return [url[:80] for url in urls if not url.startswith(("http://127.0.0.1:", "data:", "blob:", "chrome:"))]


def axe(browser: Any, script: Path) -> list[str]:
    """The serious and critical findings of axe-core."""
    browser.execute_script(script.read_text())
    found = browser.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
    return [f"{one['id']} ({len(one['nodes'])})" for one in found if one["impact"] in ("serious", "critical")]


def main() -> None:
    """Measures everything once."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("photo", "painting"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--axe", type=Path)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--stops", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder, began, figures = Path(name), time.monotonic(), {}
        with studio(folder) as server:
            usable(browser, server.address)
            figures["start_to_usable_s"] = round(time.monotonic() - began, 1)
            drop(browser, options.photo, options.painting)
            figures["first_picture_s"] = paint(browser, _PICTURE)
            assert wait_for(lambda: browser.find_elements("css selector", _DONE), 1800)
            print(json.dumps(figures), flush=True)
            again = paint(browser, _DONE, 1800)
            figures["finished_384_px_s"] = again
            before = server.compilations()
            browser.execute_script(_STRENGTH)
            figures["first_change_s"] = paint(browser, _PICTURE)
            figures["compilations_of_another_strength"] = server.compilations() - before
            browser.find_element("id", "stop").click()
            assert wait_for(lambda: browser.find_element("id", "go_on").is_enabled(), 120)
            if options.axe:
                figures["axe_serious"] = axe(browser, options.axe)
            figures["other_hosts"] = asked_elsewhere(browser)
            figures["console_errors"] = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
            print(json.dumps(figures), flush=True)
            figures["before"] = server.holdings(folder)
            for _ in range(options.reloads):
                browser.refresh()
                assert wait_for(lambda: browser.find_elements("css selector", "#photo input[type=file]"), 60)
            for _ in range(options.stops):
                browser.find_element("id", "go_on").click()
                assert wait_for(lambda: browser.find_element("id", "stop").is_enabled(), 60)
                browser.find_element("id", "stop").click()
                assert wait_for(lambda: browser.find_element("id", "go_on").is_enabled(), 120)
            figures["after"] = server.holdings(folder)
        figures["command_line_384_px_s"] = command_line(options.photo, options.painting, folder / "run")
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
