"""AlexNet's recipe of training (experiment 016): the paper's update, its augmentation, ten crops, going on."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("grain")

from experiments.lib import alexnet_training as training
from experiments.lib.alexnet_pictures import CLASSES, SIDE, Data, make
from nst_jax.networks.convnet import layer_names


@pytest.fixture(scope="module")
def data() -> Data:
    return make(64, 0)


def test_the_update_is_the_papers():
    recipe = training.Recipe(rate=0.1, falls=(0.5,), steps=6)
    optimizer, rng = training.update(recipe), np.random.default_rng(0)
    w, v = rng.normal(size=4), np.zeros(4)
    params: Any = jnp.asarray(w, jnp.float32)
    state = optimizer.init(params)
    for rate in (0.1, 0.1, 0.1, 0.01, 0.01, 0.01):
        gradient = rng.normal(size=4)
        v = 0.9 * v - 0.0005 * rate * w - rate * gradient
        w = w + v
        params, state = training.moved(optimizer, params, state, jnp.asarray(gradient, jnp.float32))
        np.testing.assert_allclose(params, w, rtol=1e-5)


def test_every_ingredient_can_be_left_out():
    def names(**options: Any) -> tuple[str, ...]:
        return layer_names(training.Model(training.Recipe(**options)).name)

    assert names()[:8] == ("conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2")
    assert names()[-5:] == ("fc6", "relu6", "fc7", "relu7", "fc8")
    assert "norm1" not in names(normalization=False)
    assert "tanh1" in names(activation="tanh")
    pools = [row.window for row in training.table(training.Recipe(overlap=False)) if isinstance(row, training.Pool)]
    assert pools == [2, 2]


def test_the_color_noise_has_the_covariance_of_the_data(data: Data):
    colors = training.Colors.of(data)
    pixels = data.pictures.reshape(-1, 3) / 255
    np.testing.assert_allclose(colors.components @ colors.components.T, np.cov(pixels, rowvar=False), atol=1e-10)
    plain = training.Recipe(crops=False, color=False)
    still, noisy = (next(training.loader(data, recipe, colors)) for recipe in (plain, dataclasses.replace(plain, color=True)))
    np.testing.assert_array_equal(still["label"], noisy["label"])
    added = noisy["x"] - still["x"]
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-5)  # one color for a picture
    assert 0 < np.abs(added).max() < 4


def test_crops_and_reflections_are_of_the_picture(data: Data):
    colors = training.Colors.of(data)
    batch = next(training.loader(data, training.Recipe(color=False), colors))
    size, far = training.CROP, SIDE - training.CROP
    places = [(top, left) for top in range(far + 1) for left in range(far + 1)]
    seen = training.scaled(data.pictures, colors)
    for x in batch["x"][:8]:
        windows = np.stack([seen[:, top : top + size, left : left + size] for top, left in places])
        either = np.stack([windows, windows[:, :, :, ::-1]])
        assert (np.abs(either - x).max((-3, -2, -1)) < 1e-5).sum() == 1
    crops = training.ten_crops(data.pictures)
    np.testing.assert_array_equal(crops[5:], crops[:5, :, :, ::-1])
    np.testing.assert_array_equal(crops[3], data.pictures[:, far:, far:])


def test_a_training_that_was_cut_off_goes_on_to_the_same_parameters(data: Data, tmp_path, monkeypatch):
    monkeypatch.setattr(training.Record, "EVERY", 2)
    recipe = training.Recipe(steps=5, normalization=False)
    whole = list(training.train(recipe, data))
    list(training.train(recipe, data, tmp_path, stop_at=3))  # a step past its checkpoint
    rest = list(training.train(recipe, data, tmp_path))
    assert [row["step"] for row in rest] == [3, 4, 5]
    assert [row["loss"] for row in rest] == [row["loss"] for row in whole[2:]]
    np.testing.assert_array_equal(rest[-1]["params"]["conv1"]["kernel"], whole[-1]["params"]["conv1"]["kernel"])
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5
    few = Data(data.pictures[:CLASSES], data.labels[:CLASSES])
    found = training.test_errors(training.Model(recipe), rest[-1]["params"], few, training.Colors.of(data))
    assert 0 <= found["top5_ten"] <= found["top1_ten"] <= 1
