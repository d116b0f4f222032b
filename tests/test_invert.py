"""`python -m nst_jax.invert`, also killed in a process of its own: the record, the errors, receptive fields."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax.config.compose import as_config
from nst_jax.config.schema import PictureConfig, RunConfig
from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.invert.__main__ import main
from nst_jax.invert.config import InvertConfig, NeuronsConfig, layer_of, usual_tv_weight
from nst_jax.invert.neurons import Neurons
from nst_jax.invert.representation import DESCRIPTORS, code
from nst_jax.invert.run import beside, field_of, mean_pairwise_distance, normalized_error, outline
from nst_jax.networks.architectures import ARCHITECTURES, Conv
from nst_jax.networks.convnet import ConvNet, NetworkSpec, features
from nst_jax.networks.params.layout import assemble, caffe_preprocess, kernel_shapes
from nst_jax.networks.params.save import save_cached
from nst_jax.partition.receptive_field import Field
from nst_jax.replay import replay
from nst_jax.report.run_page import write_report
from nst_jax.runner.resume import resume
from nst_jax.runner.run import run
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.query import describe, summarize

STARRY = PictureConfig("starry")


def config(folder: Path, **options: Any) -> InvertConfig:
    run_settings = {"dir": str(folder / "run"), "quiet": True}
    given = {"representation": "vgg19", "layer": "relu1_1", "content": STARRY, "size": 24, "steps": 4, "run": run_settings}
    values = {key: asdict(value) if is_dataclass(value) else value for key, value in (given | options).items()}  # pyright: ignore[reportArgumentType]
    return as_config(values, InvertConfig)


def test_the_record_is_that_of_a_transfer_and_the_papers_error(tmp_path: Path):
    folder, result = run(config(tmp_path, restarts=2, neurons=NeuronsConfig(center=5)))
    names = {"config.yaml", "losses.png", "manifest.json", "metrics.jsonl", "result.png", "restarts.png", "receptive_field.png"}
    assert {file.name for file in folder.path.iterdir()} == names | {"inputs", "report.html"}
    manifest = folder.read_manifest()
    assert (manifest["kind"], manifest["steps"], manifest["seconds"].keys()) == ("inversion", 8, {"compile", "steps", "total"})
    losses = [row["loss"] for row in folder.read_metrics()]
    assert [losses[3], losses[7]] == [restart["loss"] for restart in manifest["restarts"]]
    best = min(manifest["restarts"], key=lambda restart: restart["loss"])
    assert (result.rows[-1]["loss"], manifest["normalized_error"]) == (best["loss"], best["normalized_error"])
    assert best["normalized_error"] > 0
    assert losses[3] < losses[0]
    assert losses[0] != losses[4]  # another start
    height, width = read_image(folder.result).pixels.shape[1:3]
    assert read_image(folder.path / "restarts.png").pixels.shape[1:3] == (height, 2 * width + 4)


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "momentum"])
def test_a_descriptor_is_inverted_into_a_gray_picture(tmp_path: Path, solver: str):
    _, result = run(config(tmp_path, representation="hogb", layer=None, size=32, steps=8, solver=solver))
    pixels, losses = result.pixels, [row["loss"] for row in result.rows]
    np.testing.assert_allclose(pixels, np.repeat(pixels[..., :1], 3, axis=-1), atol=1e-5)
    assert losses[-1] < losses[0]


def record(folder: Path) -> dict[str, Any]:
    """What must be the same in two equal runs."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.png")}
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in RunFolder(folder).read_metrics()]
    manifest = RunFolder(folder).read_manifest()
    kept = {path.name for path in folder.iterdir()}
    return files | {"rows": rows, "kept": kept} | {key: manifest[key] for key in ("status", "steps", "restarts", "inputs")}


KILLED = """
import os, signal, sys
from nst_jax.invert.__main__ import main
from nst_jax.job import history
from nst_jax.runs.callback import Recorder
history.CHUNK_SECONDS = 0.0  # chunks of one step
record = Recorder.__call__
def killed(self, info):
    stop = record(self, info)
    self.checkpoints.write(info.position(), self.folder.metrics_bytes())
    if info.step >= 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return stop
Recorder.__call__ = killed
sys.exit(main())
"""


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_killed_inversion_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, restarts: int
):
    monkeypatch.chdir(tmp_path)
    options = ["layer=relu1_1", "size=24", "steps=12", "neurons.center=5", f"restarts={restarts}", "run.dir=[1] run"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *options], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    folder = RunFolder(tmp_path / "[1] run")
    assert folder.status() == "interrupted"
    assert resume(Path("[1] run"))[1] is not None
    assert "going on from step 9" in caplog.messages
    settings = {"layer": "relu1_1", "size": 24, "steps": 12, "neurons": NeuronsConfig(center=5), "restarts": restarts}
    run(InvertConfig(**settings, run=RunConfig(dir="whole")))
    assert record(folder.path) == record(Path("whole"))
    assert replay(folder.result, content=None, style=None, init=None) == (True, "the same bytes again")


def test_an_inversion_is_listed_shown_and_reported(tmp_path: Path):
    folder, _ = run(config(tmp_path))
    row = summarize(folder)
    assert (row["status"], row["step"]) == ("finished", 4)
    assert describe(folder)["config"]["kind"] == "inversion"
    assert "python -m nst_jax.replay" in write_report(folder).read_text()
    assert resume(folder.path) == (folder, None)


def test_dense_layers_of_a_converted_caffenet_are_inverted(tmp_path: Path, monkeypatch):
    slim = [row._replace(features=row.features // 16) if isinstance(row, Conv) else row for row in ARCHITECTURES["caffenet"]]
    monkeypatch.setitem(ARCHITECTURES, "caffenet", tuple(slim))
    monkeypatch.setenv("NST_JAX_WEIGHTS", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    layers = [(rng.normal(0, 0.1, s).astype(np.float32), np.ones(s[3], np.float32)) for s in kernel_shapes("caffenet").values()]
    words = {"network": "caffenet", "source": {}}
    save_cached("mine", assemble("caffenet", layers, caffe_preprocess(), "here"), words)
    write_image(tmp_path / "square.png", rng.uniform(0, 1, (1, 227, 227, 3)).astype(np.float32))
    square = PictureConfig("square", str(tmp_path / "square.png"))
    folder, result = run(config(tmp_path, representation="mine", layer="fc8", content=square, size=227, steps=3))
    assert folder.read_manifest()["normalized_error"] is None  # no reference is stored for these parameters
    assert result.rows[-1]["loss"] < result.rows[0]["loss"]
    with pytest.raises(InputError, match="content must be at least 227 pixels on each side for fc8, got 226x226; use a larger"):
        run(config(tmp_path / "other", representation="mine", layer="fc8", content=square, size=226))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer": "relu9_1"}, "layer must be one of vgg19's conv1_1, .*; got 'relu9_1'"),
        ({"representation": "sift"}, "parameters must be one of .*; got 'sift'"),
        ({"representation": "hog"}, "layer must be left out for hog, which has none, got 'relu1_1'"),
        ({"layer": "relu5_4", "size": 16}, "content must be at least 16 pixels on each side for relu5_4, got 16x13; use"),
        ({"size": 8}, "size must .*8"),
        ({"tv_weight": -1.0}, "tv_weight must .*-1.0"),
        ({"alpha_weight": float("nan")}, "alpha_weight must .*nan"),
        ({"beta": 0.0}, "beta must .*0.0"),
        ({"alpha": 1.0}, "alpha must .*1.0"),
        ({"solver": "newton"}, "solver must be one of adam, lbfgs, momentum; got 'newton'"),
        ({"restarts": 0}, "restarts must .*0"),
        ({"neurons": NeuronsConfig(patch=[0, 0, 99, 1])}, "neurons.patch must be .* within the map of 19 x 24 positions"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(tmp_path: Path, options, said: str):
    with pytest.raises(InputError, match=f"^{said}") as error:
        run(config(tmp_path, **options))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["layr=relu1_1"], "key must be one that the config has, got 'layr'; did you mean layer?"),
        (["beta=round"], "beta must be a number, got 'round'"),
        (["content=nowhere"], "content must be one of"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["invert", *arguments])
    assert main() == 2
    found = capsys.readouterr().err
    assert found.startswith(f"error: {said}")
    assert found.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_is_chosen_by_the_network():
    assert layer_of(InvertConfig(representation="dsift"), "") == "dsift"
    assert layer_of(InvertConfig(), "vgg19") == "relu4_2"
    assert layer_of(InvertConfig(), "alexnet") == "relu4"
    assert [usual_tv_weight(layer) for layer in ("hogb", "conv1", "pool1", "pool2", "relu4", "pool4", "fc6")] == [
        0.5, 0.5, 0.5, 5.0, 5.0, 50.0, 50.0,
    ]  # fmt: skip


def test_the_papers_error_is_one_between_different_pictures_on_average():
    codes = [jnp.asarray(code, jnp.float32) for code in np.random.default_rng(0).normal(size=(6, 1, 3, 4, 5))]
    pairs = np.mean([float(jnp.sum((a - b) ** 2)) for a in codes for b in codes])
    scale = float(mean_pairwise_distance(codes))
    assert scale * codes[0].size == pytest.approx(pairs, rel=1e-5)
    error: Any = normalized_error(float(jnp.sum((codes[1] - codes[0]) ** 2) / jnp.sum(codes[0] ** 2)), codes[0], scale)
    assert error == pytest.approx(float(jnp.sum((codes[1] - codes[0]) ** 2)) / pairs, rel=1e-5)


def seen_by(function, shape: tuple[int, ...], position: tuple[int, int]) -> np.ndarray:
    """Which pixels the channels of one position depend on, by the gradient of their sum of squares."""
    image = jnp.asarray(np.random.default_rng(3).uniform(0, 1, shape), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(function(x)[:, position[0], position[1]] ** 2 + function(x)[:, *position])))
    return np.asarray(jnp.any(gradient(image) != 0, axis=(0, -1)))


def bounds(field: Field, position: tuple[int, int], sides: tuple[int, int]) -> list[tuple[int, int]]:
    windows = [field.window(first, 1) for first in position]
    return [(max(0, start), min(side, end)) for (start, end), side in zip(windows, sides, strict=True)]


@pytest.mark.parametrize(("name", "position"), [("hog", (2, 0)), ("hogb", (3, 3)), ("dsift", (1, 1)), ("dsift", (0, 1))])
def test_receptive_fields_of_descriptors_are_where_gradients_are(name: str, position: tuple[int, int]):
    seen = seen_by(lambda x: code({}, x, name, network=NetworkSpec()), (1, 64, 56, 3), position)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    found = [(rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)]
    assert found == bounds(field_of(name, ""), position, (64, 56))


@pytest.mark.parametrize(
    ("architecture", "layer", "position"),
    [("vgg19", "relu2_1", (3, 0)), ("vgg16", "pool2", (5, 6)), ("alexnet", "conv3", (2, 2))],
)
def test_receptive_fields_of_networks_are_where_gradients_are(architecture: str, layer: str, position: tuple[int, int]):
    spec = NetworkSpec(architecture=architecture, pooling="average")  # every pixel of a window counts
    params = ConvNet(spec, (layer,)).init(jax.random.key(0), jnp.zeros((1, 79, 95, 3)))["params"]
    params = jax.tree.map(jnp.abs, params)  # nothing is rectified away
    seen = seen_by(lambda x: features(params, x, (layer,), spec=spec)[layer], (1, 79, 95, 3), position)
    (top, bottom), (left, right) = bounds(field_of(layer, architecture), position, (79, 95))
    expected = np.zeros((79, 95), bool)
    expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(seen, expected)


def test_what_a_patch_sees_is_framed():
    gray = np.full((1, 40, 40, 3), 0.5, np.float32)
    drawn = outline(gray, Field(-2, 6, 4), Neurons((2, 0, 1, 2)))
    assert (drawn[0, 20, 20] == 0.25).all()
    np.testing.assert_array_equal(drawn[0, 6, 0], np.array([1.0, 0.8, 0.0], np.float32))
    np.testing.assert_array_equal(drawn[0, 8, 3], gray[0, 0, 0])
    assert beside([gray, gray]).shape == (1, 40, 84, 3)


def test_every_stored_scale_is_of_a_known_layer():
    stored = json.loads((Path(__file__).parents[1] / "nst_jax" / "invert" / "scales.json").read_text())
    assert {*stored["descriptors"]} == {*DESCRIPTORS}
    assert all(value > 0 for layers in stored.values() for value in layers.values())
