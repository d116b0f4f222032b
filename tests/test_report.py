"""report.html: everything of a run inside one file, and a word on whatever is missing or damaged."""

import base64
import gzip
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.images.files import data_uri, read_image, write_image
from nst_jax.report import __main__ as command
from nst_jax.report.charts import columns, loss_chart
from nst_jax.report.run_page import write_report
from nst_jax.runs.folder import FORMAT, RunFolder, create_run_folder
from tests.test_folder import DAMAGE

CONFIG = "size: 32\ncontent:\n  name: <script>alert(1)</script>\n"


def rows(count: int = 6, **terms: float) -> list[dict[str, Any]]:
    return [
        {"step": i + 1, "scale": i // 3, "size": 16 * (1 + i // 3), "loss": 10.0 - i, "content": 1.0, "style": 9.0 - i}
        | {"tv": 0.0, "seconds": 0.5 * i}
        | terms
        for i in range(count)
    ]


def pixels(height: int, width: int) -> np.ndarray:
    return np.linspace(0, 1, height * width * 3, dtype=np.float32).reshape(1, height, width, 3)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A finished run with two styles, over two scales."""
    folder = create_run_folder(tmp_path / "run 1", CONFIG)
    folder.write_inputs({"content": pixels(48, 64), "style1": pixels(24, 20), "style2": pixels(200, 100)}, size=32)
    folder.append_metrics(rows())
    folder.write_snapshot(3, pixels(12, 16))
    folder.write_current(pixels(12, 16))
    folder.write_result(pixels(24, 32), {})
    manifest = {
        "format": FORMAT,
        "status": "finished",
        "command": ["/usr/bin/python3", "-m", "nst_jax.run", "content.path=my picture.jpg"],
        "inputs": {"content": {"source": "pictures/me & you.jpg"}, "style1": {"source": "starry"}},
        "seconds": {"total": 12.34},
        "notices": ["content: a drawing takes its place"],
        "versions": {"jax": "0.0.1"},
    }
    folder.write_manifest(manifest)
    return folder


def page(folder: RunFolder) -> str:
    return write_report(folder).read_text("utf-8")


def test_pictures_are_kept_at_the_size_of_the_result_and_never_enlarged(folder: RunFolder):
    sizes = {role: read_image(file).pixels.shape[1:3] for role, file in folder.inputs.items()}
    assert sizes == {"content": (24, 32), "style1": (24, 20), "style2": (32, 16)}
    assert not folder.current.exists()  # the result has taken its place


def test_the_page_holds_everything_and_asks_for_nothing(folder: RunFolder):
    text = page(folder)
    assert text.count("data:image/jpeg;base64,") == 5  # result, content, two styles, a snapshot
    program = gzip.decompress(base64.b64decode(re.findall(r'id="bokeh">([^<]*)<', text)[0])).decode()
    assert "BokehJS" in program or "Bokeh" in program[:2000]
    outside = re.sub(r"data:[^\"]*|http://www.w3.org[^\"]*", "", text)
    assert re.findall(r"(?:src|href)=\"(?!\")[^\"]+\"|url\(|@import", outside) == []
    for said in ("me &amp; you × starry", "step 6", "12.3", "a drawing takes its place", "jax 0.0.1", "3 at 16 px, 3 at 32 px"):
        assert said in text
    assert 'id="missing"' not in text
    assert len(text) < 600_000


def test_text_of_records_is_no_markup(folder: RunFolder):
    text = "</script><script>alert(1)</script>"
    facts = {"error": text, "notices": [text], "command": ["python", text], "inputs": {"content": {"source": text}}}
    folder.write_manifest(folder.read_manifest() | facts | {"versions": {text: text}, "params": {"name": text}})
    assert "<script>alert" not in page(folder)


def test_names_that_are_not_utf_8_are_escaped(tmp_path: Path):
    folder = create_run_folder(tmp_path / os.fsdecode(b"x\xff"), CONFIG)
    folder.write_manifest({"format": FORMAT, "status": "failed", "error": "\udcff", "command": ["python", "\udcff"]})
    assert "x\\udcff" in page(folder)


@pytest.mark.parametrize(("text", "key"), DAMAGE)
def test_a_damaged_manifest_does_not_end_the_page(folder: RunFolder, text: bytes, key: str):
    (folder.path / "manifest.json").write_bytes(text)
    (folder.path / "metrics.jsonl").unlink()  # without a chart a page is quick
    assert key in re.findall(r"(?s)<section id=\"missing\">.*?</section>", page(folder))[0]


def test_a_huge_result_is_reduced(folder: RunFolder):
    from PIL import Image

    Image.new("1", (14_000, 14_000)).save(folder.result)
    text = page(folder)
    assert 'width="2048" height="2048"' in text
    assert 'id="missing"' not in text


def test_paths_of_the_user_are_not_on_the_page(folder: RunFolder):
    sources = {"content": {"source": "/home/ana/me.jpg"}, "style1": {"source": "starry"}}
    command = ["/home/ana/bin/python", "-m", "nst_jax.run", "content.path=/home/ana/me.jpg"]
    (folder.path / "config.yaml").write_text("content:\n  path: /home/ana/me.jpg\nmask:\n  regions:\n  - '/home/ana/a b.png'\n")
    folder.write_manifest(folder.read_manifest() | {"inputs": sources, "command": command})
    text = page(folder)
    assert "/home/ana" not in text
    assert "content.path=me.jpg" in text
    assert "<b>path:</b> me.jpg" in text
    assert "&#39;a b.png&#39;" in text


def test_commands_can_be_pasted(folder: RunFolder):
    text = page(folder)
    assert "python -m nst_jax.run &#39;content.path=my picture.jpg&#39;" in text
    assert f"python -m nst_jax.replay &#39;{folder.path}&#39;" in text


def test_a_run_that_did_not_end_says_what_is_missing_and_how_to_go_on(tmp_path: Path):
    folder = create_run_folder(tmp_path / "run", CONFIG)
    text = page(folder)
    assert "no step yet" in text
    assert text.count("<li>") == 3  # metrics, manifest, result
    folder.append_metrics(rows(2))
    folder.write_current(pixels(16, 16))
    text = page(folder)
    assert "interrupted" in text
    assert "so far" in text
    assert f"python -m nst_jax.run --resume {folder.path}" in text
    assert text.count("<li>") == 1  # manifest


def many_terms() -> str:
    return json.dumps(rows(1)[0] | {f"term {i}": 1.0 for i in range(1000)})


@pytest.mark.parametrize("line", ['{"step": 7, "loss"', many_terms(), "7", '{"step": 7}', "\x00\xff"])
def test_a_damaged_row_is_told_and_the_others_are_drawn(folder: RunFolder, line: str):
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    folder.append_metrics(rows()[:1])
    text = page(folder)
    assert "line 7 of metrics.jsonl" in text
    assert 'id="chart-data"' in text
    with pytest.raises(InputError, match=r"line 7 of metrics\.jsonl"):
        folder.read_metrics()


def png_start(side: int) -> bytes:
    """The start of a PNG of that many pixels a side, and a chunk that is too short."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [header, b"pHYs"]
    sealed = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sealed)


@pytest.mark.parametrize("name", ["result.png", "inputs/content.jpg", "snapshots/step-000003.png", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"no picture", png_start(60_000), png_start(24), None])
def test_a_damaged_or_missing_file_is_told(folder: RunFolder, name: str, damage: bytes | None):
    file = folder.path / name
    file.write_bytes(damage) if damage is not None else file.unlink()
    text = page(folder)
    assert "me" in text
    if damage is not None or name in ("result.png", "manifest.json"):
        assert Path(name).name in re.findall(r"(?s)<section id=\"missing\">.*?</section>", text)[0]


def test_values_without_a_logarithm_leave_a_gap_and_empty_terms_go():
    drawn = columns(rows(2, content=0.0) + rows(1, content=2.0))
    assert list(drawn) == ["step", "size", "seconds", "loss", "content", "style"]
    assert np.isnan(drawn["content"]).tolist() == [True, True, False]
    assert json.loads(json.dumps(loss_chart([{**rows(1)[0], "loss": None}])))
    nothing = {term: 0.0 for term in ("loss", "content", "style", "tv")}
    assert loss_chart([{**rows(1)[0], **nothing}]) is None


def test_terms_that_others_add_are_drawn():
    assert "histogram" in columns(rows(2, histogram=3.0))


def test_a_picture_is_reduced_and_never_enlarged(tmp_path: Path):
    write_image(tmp_path / "a.png", pixels(30, 60))
    uris = [data_uri(tmp_path / "a.png", side) for side in (20, 100, None)]
    files = [tmp_path / f"{i}.jpg" for i in range(3)]
    for file, uri in zip(files, uris, strict=True):
        file.write_bytes(base64.b64decode(uri.partition(",")[2]))
    assert [file.read_bytes()[:2] for file in files] == [b"\xff\xd8"] * 3
    assert uris[1] == uris[2]
    assert len(uris[0]) < len(uris[1])


def test_the_command_writes_the_page_anew(folder: RunFolder, capsys: Any):
    assert command.main([str(folder.path)]) == 0
    assert capsys.readouterr().out == f"{folder.path / 'report.html'}\n"


def test_no_run_folder_is_one_line(tmp_path: Path, capsys: Any):
    assert command.main([str(tmp_path)]) == 2
    assert re.fullmatch(r"error: run folder must hold a readable config\.yaml[^\n]*\n", capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_the_first_step_does_not_wait_for_the_page():
    code = "import sys, nst_jax.run; print(sorted({'bokeh', 'jinja2', 'matplotlib'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
