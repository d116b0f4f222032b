"""The pages in a browser, with real clicks: the slider, the chart, dark and narrow screens, and a run that goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.report.run_page import write_report
from nst_jax.report.server import live_page
from nst_jax.runs.folder import FORMAT, RunFolder, create_run_folder
from tests.browser import chromium, complaints, deep_text, drawn, look, wait_for
from tests.test_report import pixels, rows
from tests.test_watch import served

PLOT = "const plot = Bokeh.documents[0].roots()[0];"
AT = "return getComputedStyle(document.querySelector('.before')).clipPath"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = create_run_folder(tmp_path / "run", "size: 32\nloss:\n  style_weight: 5.0\n")
    folder.write_inputs({"content": pixels(240, 320), "style": pixels(200, 100)}, size=320)
    folder.append_metrics(rows(6))
    return folder


@pytest.fixture
def page(browser: Any, folder: RunFolder) -> Any:
    """The browser at the report of a finished run, from the disk."""
    for step in range(1, 7):
        folder.write_snapshot(step, pixels(24, 32))
    folder.write_result(np.full((1, 240, 320, 3), 0.5, np.float32), {})
    folder.write_manifest({"format": FORMAT, "status": "finished", "command": ["python", "-m", "nst_jax.run", "size=32"]})
    look(browser)
    browser.get_log("performance")
    browser.get(write_report(folder).as_uri())
    assert drawn(browser)
    return browser


def point(browser: Any, element: Any, x: int, y: int) -> Any:
    """The pointer at an offset from the middle of an element."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    return ActionChains(browser).move_to_element_with_offset(element, x, y)


def test_the_page_opens_from_the_disk_and_asks_for_nothing_else(page: Any):
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    own = ("data:", "blob:", "chrome:", "chrome-untrusted:")  # the page's, and the browser's
    assert [url[:60] for url in asked if not url.startswith(own)] == [page.current_url[:60]]
    assert complaints(page) == []
    assert page.execute_script("return [...document.images].every((image) => image.complete && image.naturalWidth > 0)")


def test_the_slider_follows_pointer_and_keyboard(page: Any):
    slider = page.find_element("css selector", ".frame input")
    assert page.execute_script(AT) == "inset(0px 50% 0px 0px)"
    point(page, slider, slider.size["width"] // 4, 0).click().perform()
    clicked = float(slider.get_attribute("value"))
    assert 74 < clicked < 77
    right = float(page.execute_script(AT).split()[1].rstrip("%"))
    assert abs(right - (100 - clicked)) < 0.1
    slider.send_keys("\ue012")  # arrow to the left
    assert float(slider.get_attribute("value")) == pytest.approx(clicked - 1)
    point(page, slider, 0, 0).click_and_hold().move_by_offset(-slider.size["width"] // 4, 0).release().perform()
    assert 23 < float(slider.get_attribute("value")) < 27


def test_pointing_at_the_chart_reads_the_step(page: Any):
    point(page, page.find_element("id", "chart"), 0, 0).perform()
    assert wait_for(lambda: "of scale 16 px" in deep_text(page) or "of scale 32 px" in deep_text(page))


def test_a_button_shows_one_scale_and_a_drag_zooms_in(page: Any):
    def shown() -> list[float]:
        return page.execute_script(PLOT + "return [plot.x_range.start, plot.x_range.end]")

    whole = shown()
    assert whole[0] < 1 < 6 < whole[1]
    page.find_element("xpath", "//button[text()='32 px']").click()
    assert wait_for(lambda: shown() == [4, 6])
    page.find_element("xpath", "//button[text()='all scales']").click()
    assert wait_for(lambda: shown() == whole)
    point(page, page.find_element("id", "chart"), -100, -40).click_and_hold().move_by_offset(200, 80).release().perform()
    assert wait_for(lambda: whole[0] < shown()[0] < shown()[1] < whole[1])


def test_a_click_on_a_name_hides_its_curve(page: Any):
    hidden = PLOT + "return plot.renderers.filter((curve) => !curve.visible).length"
    item = page.execute_script(
        "const find = (root) => { for (const e of root.querySelectorAll('*')) { if (e.classList.contains('bk-label') &&"
        " e.textContent === 'style') return e; const inner = e.shadowRoot && find(e.shadowRoot); if (inner) return inner; } };"
        " return find(document)"
    )
    assert item
    point(page, item, 0, 0).click().perform()
    assert wait_for(lambda: page.execute_script(hidden) == 1)


def test_a_command_is_copied_or_selected(page: Any):
    page.find_element("css selector", "#commands .copy").click()
    assert wait_for(lambda: page.find_element("css selector", "#commands .copy").text in ("Copied", "Selected"))


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_every_screen(page: Any, width: int, dark: bool):
    look(page, width=width, dark=dark)
    color = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in color[4:-1].split(",")) < 200) == dark
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert page.execute_script("return document.querySelector('#chart canvas, #chart div').getBoundingClientRect().width") > 250


def test_a_page_that_is_watched_follows_the_run_without_being_loaded_anew(browser: Any, folder: RunFolder):
    look(browser)
    folder.write_current(pixels(24, 32))
    with served(folder.path, live_page) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        assert drawn(browser)
        browser.execute_script("window.same = true")
        picture = "return document.getElementById('picture').src"
        first = browser.execute_script(picture)
        folder.append_metrics([{**rows(6)[-1], "step": step} for step in (7, 8)])
        folder.write_current(pixels(32, 24))
        count = PLOT + "return Bokeh.documents[0].get_model_by_name('rows').data.step.length"
        assert wait_for(lambda: browser.execute_script(count) == 8)
        assert wait_for(lambda: browser.execute_script(picture) != first)
        assert wait_for(lambda: "step 8" in browser.execute_script("return document.querySelector('.line')?.textContent ?? ''"))
        assert browser.execute_script("return [window.same, document.getElementById('picture').naturalWidth]") == [True, 24]
        folder.write_result(pixels(24, 32), {})
        folder.write_manifest({"format": FORMAT, "status": "finished"})
        assert wait_for(
            lambda: browser.execute_script("return document.getElementById('state')?.textContent.trim()") == "finished"
        )
        assert drawn(browser)
        assert complaints(browser) == []
