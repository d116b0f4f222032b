"""`nst_jax.transfer`: pictures of any kind in, a picture out, with the settings and defaults of the command line."""

import dataclasses
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from PIL import Image

import nst_jax
from nst_jax import api
from nst_jax.config.compose import as_config, load, make_config
from nst_jax.config.schema import Config
from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE, write_image
from nst_jax.job import compile as programs
from nst_jax.runner.from_python import Options
from nst_jax.runs.progress import progress

SHALLOW: Any = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
PICTURE = np.random.default_rng(0).random((18, 24, 3), np.float32)
BYTES = np.random.default_rng(2).integers(0, 256, (18, 24, 3), np.uint8)
STYLE = np.random.default_rng(1).random((24, 24, 3), np.float32)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "use_compilation_cache", lambda: None)


def transfer(content: Any = PICTURE, style: Any = STYLE, **options: Any) -> nst_jax.StyledImage:
    return nst_jax.transfer(content, style, **{"size": 24, "steps": 3, "loss": SHALLOW} | options)


@pytest.fixture(scope="module")
def from_bytes() -> np.ndarray:
    return transfer(BYTES).pixels


def test_a_result_has_its_metrics_settings_and_seconds():
    content, style = PICTURE.copy(), STYLE.copy()
    result = transfer(content, style)
    assert (result.pixels.shape, result.pixels.dtype) == ((18, 24, 3), np.float32)
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    assert [row["step"] for row in result.metrics] == [1, 2, 3]
    assert result.seconds.keys() == {"compile", "steps", "total"}
    assert (result.messages, result.stopped) == ([], False)
    config = yaml.safe_load(result.config)
    assert (config["size"], config["loss"]["style_layers"]) == (24, ["relu1_1"])
    np.testing.assert_array_equal(content, PICTURE)  # what was given is left as it was
    np.testing.assert_array_equal(style, STYLE)


def test_a_result_shows_and_saves_itself(tmp_path: Path):
    result = transfer(steps=1)
    result.save(tmp_path / "a.png")
    for shown in (Image.open(tmp_path / "a.png"), Image.open(io.BytesIO(result._repr_png_())), result.image):
        np.testing.assert_array_equal(np.asarray(shown), np.round(result.pixels * 255))
    assert repr(result).startswith("StyledImage(24x18, loss ")


def as_file(pixels: np.ndarray, folder: Path) -> Path:
    write_image(folder / "x.png", pixels[None] / np.float32(255))
    return folder / "x.png"


@pytest.mark.parametrize(
    "form",
    [
        lambda pixels, _: pixels[None].astype(np.float64) / 255,
        lambda pixels, _: pixels.astype(np.uint16) * 257,
        lambda pixels, _: jnp.asarray(pixels),
        lambda pixels, _: Image.fromarray(pixels),
        lambda pixels, _: Image.fromarray(np.dstack([pixels, np.full((18, 24, 1), 255, np.uint8)])),
        as_file,
        lambda pixels, folder: str(as_file(pixels, folder)),
    ],
    ids=["float64", "uint16", "jax", "pil", "pil-alpha", "path", "str"],
)
def test_every_form_of_a_picture_means_the_same(form: Any, from_bytes: np.ndarray, tmp_path: Path):
    np.testing.assert_allclose(transfer(form(BYTES, tmp_path)).pixels, from_bytes, atol=1e-6)


def test_styles_masks_and_start_take_every_form_too(tmp_path: Path):
    left = np.zeros((18, 24), np.uint8)
    left[:, :12] = 1
    given = {"style": [jnp.asarray(STYLE), Image.fromarray(BYTES)], "init": as_file(BYTES, tmp_path)}
    masks = [left, left * 255, left == 1, jnp.asarray(left, jnp.float32), Image.fromarray(left * 255)]
    found = [transfer(masks=[mask, "rest"], steps=1, **given).pixels for mask in masks]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_the_start_is_the_default_of_the_command_line_or_named_or_given():
    assert yaml.safe_load(transfer(steps=1).config)["init"] == Config().init
    start = np.full((18, 24, 3), 0.25, np.float32)
    result = transfer(init=start, steps=1)
    np.testing.assert_allclose(result.pixels, start, atol=1e-6)  # the first step of L-BFGS evaluates the start
    assert yaml.safe_load(result.config)["init"] == "file"
    one, two = (transfer(init="noise", steps=1, seed=seed).pixels for seed in (1, 2))
    assert np.abs(one - two).mean() > 0.1


def test_a_callback_sees_the_steps_and_may_stop():
    seen: list[nst_jax.StepInfo] = []
    result = transfer(steps=[3, 3], scales=[16, 24], callback=lambda info: seen.append(info) or info.step >= 2)
    assert result.stopped
    assert result.metrics == [row for info in seen for row in info.rows]
    assert len(result.metrics) < 6
    transfer(callback=seen.append)  # what returns None goes on
    assert seen[-1].step == 3


def test_an_interrupt_gives_the_picture_so_far():
    before = signal.getsignal(signal.SIGINT)
    result = transfer(steps=2000, callback=lambda info: os.kill(os.getpid(), signal.SIGINT))
    assert result.stopped
    assert len(result.metrics) < 2000
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_in_a_thread():
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(transfer(steps=1)))
    thread.start()
    thread.join()
    assert len(found[0].metrics) == 1


def test_progress_is_shown_if_asked_for_or_where_somebody_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    shown: list[bool] = []
    monkeypatch.setattr(
        api, "show_progress", lambda total, quiet, scales: shown.append(not quiet) or progress(total, quiet, scales)
    )
    transfer(steps=1)
    assert capsys.readouterr().err == ""
    transfer(steps=1, progress=True)
    assert "step 1 of 1" in capsys.readouterr().err
    monkeypatch.setattr(api, "is_interactive", lambda: True)
    transfer(steps=1)
    transfer(steps=1, progress=False)
    assert shown == [False, True, True, False]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((16, 16)), r"\[h, w, 3\].*got \[16, 16\]"),
        (np.zeros((16, 16, 4)), r"got \[16, 16, 4\]"),
        (np.zeros((2, 16, 16, 3)), r"got \[2, 16, 16, 3\]"),
        (None, "got None"),
        ({"path": "x.png"}, "x.png"),
        (np.zeros((MIN_SIDE - 1, 40, 3)), f"{MIN_SIDE} pixels.*got 40x{MIN_SIDE - 1}"),
        (np.zeros((0, 16, 3)), "got 16x0"),
        (np.zeros((16, 16, 3), np.int64), "got int64"),
        (np.zeros((16, 16, 3), bool), "got bool"),
        (np.full((16, 16, 3), 255.0), "got 255 to 255"),
        (np.full((16, 16, 3), -0.1), "got -0.1 to -0.1"),
        (np.full((16, 16, 3), np.nan), "got nan to nan"),
        ("no_such.png", "no_such.png"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, message: str):
    with pytest.raises(InputError, match=message):
        transfer(given)
    with pytest.raises(InputError, match=message):
        transfer(style=given)


MASK = np.ones((18, 24), np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": 3}, "did you mean steps"),
        ({"size": 8}, "size.*8"),
        ({"init": "me.jpg"}, "init.*recolored, content.*'me.jpg'"),
        ({"network": {"name": "vgg9"}}, "vgg9"),
        ({"style": []}, "style.*empty"),
        ({"style_masks": [np.ones((20, 20))] * 2}, "style_masks.*1 style.*2"),
        ({"masks": [np.ones(5)]}, r"mask 1.*\[5\]"),
    ],
)
def test_a_wrong_argument_is_an_input_error(options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        transfer(options.pop("content", PICTURE), options.pop("style", STYLE), **options)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"content": {"path": "x.png"}}, "content"),
        ({"style": {"name": "starry"}}, "style.name"),
        ({"style": {"path": "x.png"}}, "style.path"),
        ({"mask": {"regions": ["x.png"]}}, "mask.regions"),
        ({"run": {"dir": "x"}}, "run"),
        ({"run.dir": "x"}, "run.dir"),
        ({"preview": True}, "preview"),
        ({"scale": {"hosts": "auto"}}, "scale.hosts"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(options: dict[str, Any], key: str):
    with pytest.raises(InputError, match=f"^{key} must"):
        nst_jax.transfer(PICTURE, STYLE, **options)


@pytest.mark.parametrize(
    "presets", [{}, {"experiment": "fast"}, {"loss": "gatys", "optimizer": "adam"}, {"experiment": "photo", "network": "vgg16"}]
)
def test_settings_mean_what_they_mean_on_the_command_line(presets: dict[str, str]):
    composed = as_config(load([f"{group}={name}" for group, name in presets.items()]))
    assert dataclasses.replace(composed, size=64) == make_config({**presets, "size": 64})


def test_the_typed_settings_are_those_of_the_config():
    fields = {field.name for field in dataclasses.fields(Config)} | {"experiment"}
    assert {*Options.__annotations__} == fields - {"content", "init", "run", "preview", "imports"}


@pytest.mark.parametrize("flag", ["jax_enable_x64", "jax_debug_nans", "jax_debug_infs", "jax_check_tracer_leaks"])
def test_flags_for_debugging_change_nothing(flag: str):
    expected, names = transfer().pixels, (flag, "jax_enable_compilation_cache")
    before = {name: jax.config.values[name] for name in names}
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        jax.config.update(flag, True)
        programs._compile.cache_clear()
        np.testing.assert_allclose(transfer().pixels, expected, atol=1e-4)
    finally:
        for name in names:
            jax.config.update(name, before[name])
        programs._compile.cache_clear()


def test_under_a_transfer_guard_it_runs_and_without_jit_it_says_why_not():
    with jax.transfer_guard("disallow"):
        assert transfer().pixels.shape == (18, 24, 3)
    with jax.disable_jit(), pytest.raises(InputError, match="JAX_DISABLE_JIT must be off"):
        transfer()


def test_the_loss_is_the_one_that_transfer_minimizes():
    loss, image = nst_jax.make_loss(PICTURE, STYLE, size=24, loss=SHALLOW)
    first = transfer(steps=1).metrics[0]
    value, gradient = jax.jit(lambda loss, image: jax.value_and_grad(loss)(image))(loss, image)
    np.testing.assert_allclose(value, first["loss"], rtol=1e-5)
    assert gradient.shape == image.shape == (1, 18, 24, 3)
    np.testing.assert_allclose(jax.jit(loss)(image), value, rtol=1e-5)
    for name, term in loss.terms(image).items():
        np.testing.assert_allclose(term, first[name], rtol=1e-4)


def test_the_plan_of_a_loss_counts_regions(monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    choose_plan = api.choose_plan
    monkeypatch.setattr(
        api, "choose_plan", lambda *given, regions: asked.append(regions) or choose_plan(*given, regions=regions)
    )
    mask = np.zeros((18, 24), np.float32)
    mask[:, :12] = 1
    nst_jax.make_loss(PICTURE, [STYLE, STYLE], masks=[mask, 1 - mask], size=24, loss=SHALLOW)
    assert asked == [2]


def test_networks_are_at_hand_without_another_import():
    vgg = nst_jax.networks.load("vgg19")
    assert vgg.features(vgg.params, jnp.asarray(PICTURE[None]), ("relu1_1",))["relu1_1"].shape == (1, 18, 24, 64)
    with pytest.raises(AttributeError, match="network"):
        nst_jax.network  # noqa: B018  # pyright: ignore


def test_importing_changes_nothing_in_the_process_and_loads_nothing_large():
    code = """
import os, signal, sys, threading, warnings
def state():
    return dict(os.environ), signal.getsignal(signal.SIGINT), list(warnings.filters), threading.active_count(), list(sys.path)
before = state()
import nst_jax
nst_jax.InputError, nst_jax.__version__, dir(nst_jax)
assert state() == before, state()
print(sorted({"jax", "flax", "hydra", "numpy", "PIL"} & {*sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
