"""report.html of a sweep: pictures along the settings, the Pareto front, a table that sorts, links to the members."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nst_jax import watch
from nst_jax.images.files import read_image
from nst_jax.report import __main__ as report
from nst_jax.report.run_page import write_report
from nst_jax.runs.folder import FORMAT, create_run_folder
from nst_jax.sweeps.figures.page import write_sweep_report
from nst_jax.sweeps.figures.pareto import draw_pareto
from nst_jax.sweeps.folder import SweepFolder, create_sweep
from nst_jax.sweeps.grid import product
from nst_jax.sweeps.table import read_table
from tests.browser import chromium, complaints, deep_text, drawn, look, wait_for
from tests.test_browser import point
from tests.test_report import pixels, rows
from tests.test_watch import served

FOLDERS = ["0", "1-a #1?", "2", "3"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepFolder:
    """Four members of a grid, of which one has failed."""
    sweep = create_sweep(tmp_path_factory.mktemp("page") / "sweep")
    sweep.add(product([("loss.style_weight", ["1", "10"]), ("network.pooling", ["max", "average"])]), FOLDERS)
    for number, (content, style) in enumerate([(1.0, 30.0), (3.0, 20.0), (2.0, 100.0)]):
        config = {"loss": {"content_weight": 1.0, "style_weight": 10.0 if number == 2 else 1.0, "tv_weight": 0.0}, "size": 32}
        folder = create_run_folder(sweep.path / FOLDERS[number], yaml.safe_dump(config))
        folder.append_metrics(rows(6, content=content, style=style, loss=content + style))
        folder.write_result(pixels(24, 32), {})
        folder.write_manifest({"format": FORMAT, "status": "finished", "seconds": {"total": 5.0 + number}})
        write_report(folder)
        sweep.note(number, "done")
    sweep.note(3, "failed", "no <memory>")
    return sweep


def test_the_page_shows_every_member_and_its_status(sweep: SweepFolder):
    text = write_sweep_report(sweep).read_text("utf-8")
    assert "4 members: 3 done, 1 failed" in text
    assert "no &lt;memory&gt;" in text
    links = {f'href="./{name}/report.html"' for name in ("0", "1-a%20%231%3F", "2")} | {'href="./3/result.png"'}
    assert links <= {*re.findall(r'href="[^"]*"', text)}
    assert len(re.findall(r'<img src="data:image/jpeg', text)) == 3
    assert len(text) < 600_000


@pytest.mark.parametrize("key", ["member", "folder", "status", "error", "content"])
def test_terms_and_settings_replace_nothing_that_is_known(tmp_path: Path, key: str):
    sweep = create_sweep(tmp_path / "s")
    sweep.add(product([("content", ["1.2.3", "."])]), ["a", "b"])
    for name, weight in (("a", "9" * 400), ("b", "[]")):
        folder = create_run_folder(sweep.path / name, f"loss: {{content_weight: {weight}}}")
        folder.append_metrics([row | {key: 1.0} for row in rows(2, content=1.0)])
        folder.write_manifest({"format": FORMAT, "status": "finished", "scores": {key: 2.0}})
    for number in (0, 1):
        sweep.note(number, "done")
    table = read_table(sweep).rows
    assert [(row["member"], row["folder"], row["status"]) for row in table] == [(0, "a", "done"), (1, "b", "done")]
    assert 'href="./b/result.png"' in write_sweep_report(sweep).read_text("utf-8")
    assert 'href="./b/report.html"' in watch.page(sweep.path)


def test_the_front_is_drawn_unless_the_pictures_vary(sweep: SweepFolder, tmp_path: Path):
    assert draw_pareto(sweep, read_table(sweep))
    assert read_image(sweep.path / "pareto.png").pixels.shape[1] > 300
    table = read_table(sweep)
    table.record["keys"]["content.path"] = ["a.png", "b.png"]
    assert table.fronts() == []
    assert not draw_pareto(SweepFolder(tmp_path), table)


def test_a_sweep_without_members_or_runs_has_a_page(tmp_path: Path):
    sweep = create_sweep(tmp_path / "sweep")
    assert "0 members" in write_sweep_report(sweep).read_text("utf-8")
    sweep.add(product([("seed", ["1", "2"])]), ["0", "1"])
    text = write_sweep_report(sweep).read_text("utf-8")
    assert "2 waiting" in text
    assert 'http-equiv="refresh"' not in text
    assert 'http-equiv="refresh"' in watch.page(sweep.path)  # which shows it while it runs


def test_the_command_knows_a_sweep_from_a_run(sweep: SweepFolder, capsys: Any, tmp_path: Path):
    assert report.main([str(sweep.path)]) == 0
    assert capsys.readouterr().out == f"{sweep.path / 'report.html'}\n"
    (tmp_path / "sweep.json").write_text("{")
    assert report.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any, sweep: SweepFolder) -> Any:
    look(browser)
    browser.get(write_sweep_report(sweep).as_uri())
    assert drawn(browser)
    return browser


def test_a_click_on_a_column_sorts_by_it_and_again_the_other_way_round(page: Any):
    def members() -> list[str]:
        return [cell.text for cell in page.find_elements("css selector", "#table tbody td:first-child")]

    style = page.find_element("xpath", "//section[@id='table']//button[text()='style loss']")
    style.click()
    assert members() == ["2", "1", "0", "3"]  # 10, 20, 30, and what has none last
    style.click()
    assert members() == ["0", "1", "2", "3"]
    assert page.find_element("css selector", "[aria-sort]").get_attribute("aria-sort") == "descending"
    page.find_element("xpath", "//section[@id='table']//button[text()='network.pooling']").click()
    assert members()[:2] in (["1", "3"], ["3", "1"])  # average before max


def test_pointing_at_a_picture_tells_its_settings_and_a_click_opens_its_page(page: Any):
    cell = page.find_element("css selector", ".grid .cell")
    details = cell.find_element("css selector", ".details")
    assert details.value_of_css_property("opacity") == "0"
    point(page, cell, 0, 0).perform()
    assert wait_for(lambda: details.value_of_css_property("opacity") == "1")
    assert "style_weight 1" in details.text
    cell.click()
    assert wait_for(lambda: page.current_url.endswith("/0/report.html"))
    assert drawn(page)


def test_a_point_shows_its_member_and_opens_its_page(page: Any):
    place = page.execute_script(
        "document.getElementById('chart').scrollIntoView({block: 'center'});"
        "const plot = Bokeh.documents[0].roots()[0], view = Bokeh.index[plot.id] ?? Object.values(Bokeh.index)[0];"
        "const box = view.canvas_view.el.getBoundingClientRect(), data = plot.renderers.at(-1).data_source.data;"
        "const at = view.frame ?? view.plot_view.frame;"
        "return [box.x + at.x_scale.compute(data.content[2]), box.y + at.y_scale.compute(data.style[2])]"
    )
    from selenium.webdriver.common.action_chains import ActionChains

    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(round(place[0]), round(place[1]))
    actions.perform()
    assert wait_for(lambda: "style_weight 10, pooling max" in deep_text(page).split("Pareto front")[1])
    actions.click().perform()
    assert wait_for(lambda: page.current_url.endswith("/2/report.html"))


@pytest.mark.parametrize(("width", "dark"), [(1200, True), (450, False), (390, True)])
def test_every_screen(page: Any, width: int, dark: bool):
    look(page, width=width, dark=dark)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    boxes = "[...document.querySelectorAll('.grid .cell, .grid .caption')].map((e) => e.getBoundingClientRect())"
    assert page.execute_script(f"return {boxes}.every((box) => box.right <= innerWidth && box.width > 0)")
    overlap = "(a, b) => a !== b && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom"
    assert not page.execute_script(f"const all = {boxes}; return all.some((a) => all.some((b) => ({overlap})(a, b)))")
    assert complaints(page) == []


def test_a_sweep_is_watched_with_its_members(browser: Any, sweep: SweepFolder):
    with served(sweep.path, watch.page) as port:
        browser.get(f"http://127.0.0.1:{port}/")
        assert drawn(browser)
        browser.find_element("css selector", ".grid .cell").click()
        assert wait_for(lambda: browser.current_url.endswith("/0/report.html"))
        assert drawn(browser)
        assert complaints(browser) == []
