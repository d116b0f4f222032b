"""Replay: the same bytes again from the picture alone, numbers where they differ, one line where it cannot be."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from nst_jax import replay as module
from nst_jax.config.compose import make_config
from nst_jax.images.files import read_image, read_text, write_image
from nst_jax.replay import main
from nst_jax.runner import kinds
from nst_jax.runner.run import run
from nst_jax.runs.manifest import CONFIG_TEXT, PROVENANCE_TEXT
from nst_jax.system import memory

TINY = {"size": 24, "steps": 5, "loss": {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}}


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory):
    """A working folder with two pictures and one finished run."""
    path = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setattr(module, "use_compilation_cache", lambda: None)
        generator = np.random.default_rng(0)
        write_image("content.png", generator.random((1, 24, 32, 3), np.float32))
        write_image("style.png", generator.random((1, 24, 24, 3), np.float32))
        pictures = {"content": {"path": "content.png"}, "style": {"path": "style.png"}}
        run(make_config(TINY | pictures | {"run": {"dir": "one", "quiet": True}}))
        yield path


def edited(name: str, *, pixels: np.ndarray | None = None, **facts: object) -> str:
    """The name of a copy of the result with other pixels, or another record."""
    text = read_text("one/result.png")
    text[PROVENANCE_TEXT] = json.dumps(json.loads(text[PROVENANCE_TEXT]) | facts)
    write_image(name, read_image("one/result.png").pixels if pixels is None else pixels, text=text)
    return name


def test_the_same_bytes_again(capsys: pytest.CaptureFixture[str]):
    assert [main(["one"]), main(["one/result.png"])] == [0, 0]
    assert capsys.readouterr().out == "one/result.png: the same bytes again\n" * 2


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif", "tiff"])
def test_a_result_of_another_format_comes_again(here: Path, form: str, capsys: pytest.CaptureFixture[str]):
    pictures = {"content": {"path": "content.png"}, "style": {"path": "style.png"}}
    output = {"dir": form, "quiet": True, "format": form, "output": f"{here}/all/"}
    run(make_config(TINY | pictures | {"run": output}))
    file = Path("all", f"content.{form}")
    assert file.read_bytes() == Path(form, f"result.{form}").read_bytes()
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: the same bytes again\n"


def test_a_result_beyond_pillows_limit_comes_again_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24)  # beyond twice as many Pillow reads nothing
    assert main(["one"]) == 0
    assert capsys.readouterr().out == "one/result.png: the same bytes again\n"


def test_a_fresh_process_in_another_directory_makes_the_same_bytes(here: Path, tmp_path: Path):
    command = [sys.executable, "-m", "nst_jax.replay", str(here / "one")]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{here}/one/result.png: the same bytes again\n"), done.stderr


def test_pictures_elsewhere_are_found_by_the_config_beside(here: Path, capsys: pytest.CaptureFixture[str]):
    (here / "away").mkdir()
    for name in ("content.png", "style.png"):
        shutil.copy(name, here / "away")
    pictures = {role: {"path": str(here / "away" / f"{role}.png")} for role in ("content", "style")}
    folder, _ = run(make_config(TINY | pictures | {"run": {"dir": "far", "quiet": True}}))
    assert str(here) not in str(read_text(folder.result))
    (here / "content.png").rename(here / "gone.png")
    try:
        assert main(["far"]) == 0
    finally:
        (here / "gone.png").rename(here / "content.png")
    assert "same bytes" in capsys.readouterr().out


def test_another_version_with_the_same_pixels_is_told(capsys: pytest.CaptureFixture[str]):
    versions = json.loads(read_text("one/result.png")[PROVENANCE_TEXT])["versions"]
    assert main([edited("older.png", versions=versions | {"jax": "0.1"})]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"older\.png: the same pixels again, in another file; what differs in the record: jax went from 0\.1 to [\d.]+\n", said
    )


def test_a_difference_is_told_in_numbers(capsys: pytest.CaptureFixture[str]):
    pixels = read_image("one/result.png").pixels.copy()
    pixels[0, 0, 0, 0] = 1 - np.round(pixels[0, 0, 0, 0])
    assert main([edited("other.png", pixels=pixels)]) == 1
    line = r"other\.png: another picture: mean difference \S+, largest 0\.\d+ \(of 1\), PSNR \d+\.\d dB; what differs [^\n]+\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_a_picture_that_was_stopped_on_the_way_comes_again_as_it_was(capsys: pytest.CaptureFixture[str]):
    settings, facts = module._record(Path("one/result.png"))
    prepared = module._same_inputs(module.recorded_config(settings, ""), facts)
    stopped = prepared.kind.execute(prepared, lambda at: at.step >= 3, (3,), None, None).result
    assert main([edited("stopped.png", pixels=stopped.pixels, steps=3)]) == 0
    assert "the same pixels again" in capsys.readouterr().out


def test_the_plan_of_the_record_is_used_whatever_memory_is_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_free_bytes", lambda: 1 << 20)
    settings, facts = module._record(Path("one/result.png"))
    prepared = module._same_inputs(module.recorded_config(settings, ""), facts)
    assert prepared.spec.plans[-1].tile == 256  # what fits now
    again = kinds.as_recorded(prepared, facts["plan"])
    assert (
        [dataclasses.asdict(plan) for plan in again.spec.plans] == facts["plan"] == [{"remat": "none", "tile": 0, "devices": 1}]
    )
    assert again.begun["plan"] == facts["plan"]
    for bad in (
        None,
        5,
        [],
        [{"tile": 0}],
        [{"remat": "none", "tile": 0, "devices": 99}],
        [{"remat": "none", "tile": 1, "devices": 1}],
    ):
        assert kinds.as_recorded(prepared, bad).spec.plans == prepared.spec.plans


def test_pictures_that_moved_are_named(capsys: pytest.CaptureFixture[str]):
    sha256 = read_image("content.png").sha256
    shutil.move("content.png", "moved.png")
    assert main(["one"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: image content\.png must be a file, got no such file; [^\n]+\n", said)
    assert f"content has sha256 {sha256}" in said
    assert main(["one", "--content", "moved.png", "--style", "style.png"]) == 0
    assert main(["one", "--content", "style.png"]) == 2
    shutil.move("moved.png", "content.png")
    said = capsys.readouterr()
    assert said.out == "one/result.png: the same bytes again\n"
    assert re.fullmatch(rf"error: content must be the picture with sha256 {sha256}, got \S*style\.png with [^\n]+\n", said.err)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "style.png", "picture must carry the record of a run, got none in style.png; "),
        (lambda: "nowhere.png", "image nowhere.png must be a file, got no such file; "),
        (lambda: ".", "image result.png must be a file, got no such file; "),
        (lambda: edited("new.png", format=99), "record of the picture must have the format 2, got 99 in new.png; "),
        (lambda: edited("params.png", params="0"), "network parameters must have sha256 0, got "),
    ],
)
def test_what_cannot_be_made_again_is_one_line(make, message: str, capsys: pytest.CaptureFixture[str]):
    assert main([make()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"error: {re.escape(message)}[^\n]+\n", said.err)


def test_a_record_does_not_import_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "strange.py").write_text("raise SystemExit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    text = read_text("one/result.png")
    text[CONFIG_TEXT] = yaml.safe_dump(yaml.safe_load(text[CONFIG_TEXT]) | {"imports": ["strange"]})
    write_image("strange.png", read_image("one/result.png").pixels, text=text)
    assert main(["strange.png"]) == 2
    assert "strange" in capsys.readouterr().err
    assert "strange" not in sys.modules
