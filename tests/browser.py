"""A headless Chromium for tests: Debian's `chromium` and `chromium-driver`, driven by selenium."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --window-size=1200,900"
)
# The text of a page with that of the shadow trees in it.
_DEEP_TEXT = """
const text = (node) => [...node.childNodes].map((child) =>
  child.nodeType === 3 ? child.data : child.shadowRoot ? text(child.shadowRoot) : child.tagName === "STYLE" ? "" : text(child)
).join(" ");
return text(document.body);
"""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a profile of its own; the test is skipped where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("chromium and chromium-driver are not installed")
    options, service = webdriver.ChromeOptions(), webdriver.ChromeService(driver)
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=service)
        try:
            yield browser
        finally:
            browser.quit()


def wait_for(what: Callable[[], Any], seconds: float = 60.0, every: float = 0.1) -> Any:
    """The first true value that `what` gives, asked `every` so many seconds; the last one when the time is up."""
    end = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < end:
        time.sleep(every)
    return value


def drawn(browser: Any) -> bool:
    """Whether the chart is there, after a while."""
    return bool(wait_for(lambda: browser.execute_script("return document.body.dataset.drawn")))


def deep_text(browser: Any) -> str:
    """All text of the page, that of a chart's parts too."""
    return " ".join(browser.execute_script(_DEEP_TEXT).split())


def look(browser: Any, *, width: int = 1200, dark: bool = False) -> None:
    """Makes the page so wide, on a screen that is light or dark."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def complaints(browser: Any) -> list[str]:
    """What the console holds against the page."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
