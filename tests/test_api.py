"""`nst_jax.transfer`: arrays in, an array and its record out, with the options of the command line."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import yaml

import nst_jax
from nst_jax import api
from nst_jax.errors import InputError
from nst_jax.images.files import MIN_SIDE

SHALLOW: Any = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
PICTURE = np.random.default_rng(0).random((16, 24, 3), np.float32)
STYLE = np.random.default_rng(1).random((20, 20, 3), np.float32)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "use_compilation_cache", lambda: None)


def transfer(content: np.ndarray = PICTURE, style: np.ndarray = STYLE, **options: Any):
    return nst_jax.transfer(content, style, **{"size": 24, "steps": 3, "loss": SHALLOW} | options)


def test_a_picture_and_its_record_come_back():
    picture, record = transfer()
    assert (picture.shape, picture.dtype) == ((16, 24, 3), np.float32)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert [row["step"] for row in record["metrics"]] == [1, 2, 3]
    assert record["seconds"].keys() == {"compile", "steps", "total"}
    assert record["recoveries"] == []
    config = yaml.safe_load(record["config"])
    assert (config["size"], config["loss"]["style_layers"]) == (24, ["relu1_1"])


def test_bytes_and_floats_mean_the_same_picture():
    pixels = np.random.default_rng(2).integers(0, 256, (16, 24, 3), np.uint8)
    from_bytes, _ = transfer(pixels)
    from_floats, _ = transfer(pixels[None].astype(np.float64) / 255)
    np.testing.assert_array_equal(from_bytes, from_floats)


def test_the_start_may_be_named_or_given():
    start = np.full((16, 24, 3), 0.25, np.float32)
    picture, record = transfer(init=start, steps=1)
    np.testing.assert_allclose(picture, start, atol=1e-6)  # the first step of L-BFGS evaluates the start
    assert yaml.safe_load(record["config"])["init"] == "file"
    (one, _), (two, _) = (transfer(init="noise", steps=1, seed=seed) for seed in (1, 2))
    assert np.abs(one - two).mean() > 0.1


def test_the_arrays_given_are_left_as_they_were():
    content, style = PICTURE.copy(), STYLE.copy()
    transfer(content, style)
    np.testing.assert_array_equal(content, PICTURE)
    np.testing.assert_array_equal(style, STYLE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((16, 16)), "content must have the shape [h, w, 3] or [1, h, w, 3], got [16, 16]"),
        (np.zeros((16, 16, 4)), "content must have the shape [h, w, 3] or [1, h, w, 3], got [16, 16, 4]"),
        (np.zeros((2, 16, 16, 3)), "content must have the shape [h, w, 3] or [1, h, w, 3], got [2, 16, 16, 3]"),
        (np.zeros((MIN_SIDE - 1, 40, 3)), f"content must be at least {MIN_SIDE} pixels on each side, got 40x{MIN_SIDE - 1}"),
        (np.zeros((0, 16, 3)), f"content must be at least {MIN_SIDE} pixels on each side, got 16x0"),
        (np.zeros((16, 16, 3), np.int64), "content must be uint8 or floating point, got int64; convert it"),
        (np.zeros((16, 16, 3), bool), "content must be uint8 or floating point, got bool; convert it"),
        (np.full((16, 16, 3), 255.0), "content must have values in [0, 1], got 255 to 255; divide or clip"),
        (np.full((16, 16, 3), -0.1), "content must have values in [0, 1], got -0.1 to -0.1; divide or clip"),
        (np.full((16, 16, 3), np.nan), "content must have values in [0, 1], got nan to nan; divide or clip"),
    ],
)
def test_what_is_no_picture_is_refused(array: np.ndarray, message: str):
    with pytest.raises(InputError) as caught:
        transfer(array)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": 3}, "did you mean steps"),
        ({"size": 8}, "size must be at least 16"),
        ({"init": "me.jpg"}, "init must be one of recolored, content, style, noise, adain, or an array; got 'me.jpg'"),
        ({"network": {"name": "vgg9"}}, "parameters must be one of"),
        ({"style": {"name": "starry"}}, None),
    ],
)
def test_a_wrong_option_is_an_input_error(options: dict[str, Any], message: str | None):
    expected = TypeError if message is None else InputError  # the style picture is an argument, not an option
    with pytest.raises(expected, match=message):
        transfer(**options)


def test_networks_are_at_hand_without_another_import():
    vgg = nst_jax.networks.load("vgg19")
    assert vgg.features(vgg.params, jnp.asarray(PICTURE[None]), ("relu1_1",))["relu1_1"].shape == (1, 16, 24, 64)
    with pytest.raises(AttributeError, match="network"):
        nst_jax.network  # noqa: B018
