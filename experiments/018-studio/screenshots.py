"""Take the pictures of the studio that the documentation shows, and those that are only to be looked at.

PYTHONPATH=. python experiments/018-studio/screenshots.py FOLDER [--more KEY=VALUE ...]
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import Any

import measure
from PIL import Image
from selenium.webdriver import ActionChains

import nst_jax
from tests.browser import chromium, look, wait_for

_BUNDLED = Path(nst_jax.__file__).parent / "images" / "bundled"


def shoot(browser: Any, file: Path, height: int = 900) -> None:
    """Writes what the browser shows as a small WebP."""
    with Image.open(io.BytesIO(browser.get_screenshot_as_png())) as image:
        image.convert("RGB").crop((0, 0, image.width, min(height, image.height))).save(file, quality=72, method=6)


def scribble(browser: Any) -> None:
    """Marks the middle of the photograph with a stroke, and has it grown."""
    browser.find_element("css selector", "#regions button").click()
    assert wait_for(lambda: browser.find_elements("id", "regions_load"))
    assert wait_for(lambda: browser.find_element("id", "regions_load").is_displayed())
    browser.find_element("id", "regions_load").click()
    assert wait_for(lambda: browser.find_element("css selector", "#regions_use input").is_selected(), 60)
    canvas = wait_for(lambda: browser.find_elements("css selector", "#editor canvas"), 60)[0]
    browser.execute_script("document.getElementById('regions').scrollIntoView()")
    wait_for(lambda: False, 4)  # until the canvas has drawn the photograph, which nothing tells
    stroke = ActionChains(browser).move_to_element_with_offset(canvas, -60, 20).click_and_hold()
    for _ in range(12):
        stroke.move_by_offset(10, 0)
    stroke.release().perform()
    wait_for(lambda: False, 1)
    browser.find_element("id", "regions_grow").click()
    wait_for(lambda: False, 8)


def main() -> None:
    """Takes them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--more", nargs="*", default=[], help="settings KEY=VALUE, for a trial")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    shot = lambda name: shoot(browser, options.folder / f"studio_{name}.webp")  # noqa: E731
    with tempfile.TemporaryDirectory() as name, chromium() as browser, measure.studio(Path(name)) as server:
        look(browser, width=1300)
        measure.usable(browser, server.address)
        shot("empty")
        measure.choose(browser, 384, options.more)
        measure.drop(browser, _BUNDLED / "cat.jpg", _BUNDLED / "wave.jpg")
        for painting in ("wave", "starry"):
            if painting == "starry":
                browser.find_element("css selector", "#shelf button[aria-label*='Starry']").click()
                assert wait_for(lambda: browser.find_elements("css selector", "#painting img[src*='starry']"), 60)
            measure.paint(browser, "#picture img")
            browser.execute_script("scrollTo(0, 0)")
            wait_for(lambda: "384 px" in browser.find_element("id", "status").text, 300)
            wait_for(lambda: False, 3)
            shot("running")
            assert wait_for(lambda: browser.find_elements("css selector", "#compare img"), 900)
            wait_for(lambda: False, 2)
            shot("finished")
        look(browser, width=1300, dark=True)
        wait_for(lambda: False, 2)
        shot("dark")
        look(browser, width=390)
        wait_for(lambda: False, 1)
        shot("phone")
        look(browser, width=1300)
        scribble(browser)
        shot("masks")
        browser.execute_script("scrollTo(0, 0)")
        browser.find_element("xpath", "//button[@role='tab'][contains(., 'History')]").click()
        for place in (1, 0):
            assert wait_for(lambda place=place: len(browser.find_elements("css selector", "#gallery button img")) > place, 60)
            browser.find_elements("css selector", "#gallery button img")[place].click()
            wait_for(lambda: False, 2)
        shot("history")


if __name__ == "__main__":
    main()
