"""AlexNet of 2012: its size, its grouped convolutions, normalization and overlapping pooling against float64 twins."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from nst_jax.networks.architectures import ARCHITECTURES, Conv
from nst_jax.networks.convnet import ConvNet, NetworkSpec, features, layer_names
from nst_jax.networks.layers import Convolution, local_response, pool, prepare
from nst_jax.types import Params
from tests.reference import network

ALEXNET = NetworkSpec(architecture="alexnet2012")
PICTURES = jax.ShapeDtypeStruct((1, 227, 227, 3), jnp.float32)


def slim(architecture: str):
    """The network's table with a sixteenth of the channels."""
    table = ARCHITECTURES[architecture]
    return tuple(row._replace(features=row.features // 16) if isinstance(row, Conv) else row for row in table)


def shapes_of(taps: tuple[str, ...]):
    module = ConvNet(ALEXNET, taps)
    params = jax.eval_shape(lambda x: module.init(jax.random.key(0), x)["params"], PICTURES)
    return params, jax.eval_shape(lambda p, x: module.apply({"params": p}, x), params, PICTURES)


def test_it_has_60_million_parameters_and_650_thousand_neurons():
    taps = (*(f"relu{i}" for i in range(1, 8)), "fc8")
    params, maps = shapes_of(taps)
    del params["preprocess"]
    assert {name: leaves["kernel"].shape for name, leaves in params.items()} == {
        "conv1": (11, 11, 3, 96), "conv2": (5, 5, 48, 256), "conv3": (3, 3, 256, 384), "conv4": (3, 3, 192, 384),
        "conv5": (3, 3, 192, 256), "fc6": (6, 6, 256, 4096), "fc7": (1, 1, 4096, 4096), "fc8": (1, 1, 4096, 1000),
    }  # fmt: skip
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 60_965_224
    assert sum(one.size for one in maps.values()) == 659_272


def test_the_layers_are_in_the_papers_order():
    assert layer_names("alexnet2012")[:8] == ("conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2")
    assert layer_names("caffenet")[:4] == ("conv1", "relu1", "pool1", "norm1")
    assert layer_names("alexnet2012")[-5:] == ("fc6", "relu6", "fc7", "relu7", "fc8")


def test_training_starts_where_the_paper_says():
    module = ConvNet(ALEXNET, ("conv5",))
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 67, 67, 3)))["params"]
    biases = {name: float(leaves["bias"][0]) for name, leaves in params.items() if name != "preprocess"}
    assert biases == {"conv1": 0.0, "conv2": 1.0, "conv3": 0.0, "conv4": 1.0, "conv5": 1.0}
    table = {layer.kind + layer.name: layer for layer in ARCHITECTURES["alexnet2012"] if isinstance(layer, Conv)}
    assert {name: (layer.bias, layer.dropout) for name, layer in table.items() if layer.kind == "fc"} == {
        "fc6": (1.0, 0.5), "fc7": (1.0, 0.5), "fc8": (0.0, 0.0),
    }  # fmt: skip
    for name in biases:
        assert np.std(params[name]["kernel"]) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("architecture", ["alexnet2012", "caffenet"])
def test_every_layer_agrees_with_the_float64_twin(architecture: str, monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, architecture, slim(architecture))
    spec, taps = NetworkSpec(architecture=architecture), ("norm1", "pool1", "conv2", "norm2", "conv5", "relu6", "fc8")
    image = np.random.default_rng(0).uniform(0, 1, (1, 227, 227, 3)).astype(np.float32)
    drawn: Any = jax.jit(ConvNet(spec, taps).init)(jax.random.key(1), jnp.asarray(image))["params"]
    params: Params = {
        name: {leaf: 8 * value if leaf == "kernel" else value for leaf, value in leaves.items()}
        for name, leaves in drawn.items()
    }
    expected, _ = network.features(params, image[0], taps, spec)
    found = features(params, jnp.asarray(image), taps, spec=spec)
    for tap in taps:
        assert np.linalg.norm(found[tap][0] - expected[tap]) <= 1e-5 * np.linalg.norm(expected[tap]), tap
    winograd = features(
        {name: prepare(leaves) for name, leaves in params.items()}, jnp.asarray(image), ("conv5",),
        spec=NetworkSpec(architecture=architecture, convolution="winograd"),
    )["conv5"]  # fmt: skip
    assert np.linalg.norm(winograd[0] - expected["conv5"]) <= 1e-5 * np.linalg.norm(expected["conv5"])


def test_local_response_normalization_agrees_with_the_definition():
    a = np.random.default_rng(2).normal(size=(1, 3, 2, 9)) * 30
    expected = np.zeros_like(a)
    for i in range(9):
        total = sum(a[..., j] ** 2 for j in range(max(0, i - 2), min(8, i + 2) + 1))
        expected[..., i] = a[..., i] / (2 + 1e-4 * total) ** 0.75
    np.testing.assert_allclose(local_response(jnp.asarray(a, jnp.float32), 2.0, 1e-4), expected, rtol=1e-5)
    with jax.enable_x64(True):
        check_grads(lambda x: local_response(jnp.asarray(x), 2.0, 1e-4), (a,), order=1, modes=["rev"])


def test_gradients_of_grouped_convolutions_and_overlapping_pooling_agree_with_finite_differences():
    rng = np.random.default_rng(3)
    x, kernel = rng.normal(size=(1, 7, 6, 4)), rng.normal(size=(3, 3, 2, 6))
    module = Convolution(features=6, groups=2)

    def convolved(x, kernel):
        leaves = {"kernel": jnp.asarray(kernel), "bias": jnp.ones(6)}
        return module.apply({"params": leaves}, jnp.asarray(x))

    with jax.enable_x64(True):
        check_grads(convolved, (x, kernel), order=1, modes=["rev"])
        for kind in ("max", "average"):
            pooled = jax.jit(functools.partial(pool, window=3, stride=2, kind=kind, scale=1.0))
            check_grads(pooled, (x,), order=1, modes=["rev"])


def maps_of(module: ConvNet, params: Any, x: jax.Array, **options: Any) -> Any:
    return module.apply({"params": params}, x, **options)


def test_dropout_is_for_training_only(monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "alexnet2012", slim("alexnet2012"))
    x = jnp.ones((4, 6, 6, 16))
    module = ConvNet(ALEXNET, ("relu6", "relu7"), after="pool5")
    params = module.init(jax.random.key(0), x)["params"]
    training = module.clone(training=True)
    first, second = (maps_of(training, params, x, rngs={"dropout": jax.random.key(i)}) for i in (0, 1))
    np.testing.assert_array_equal(first["relu6"], second["relu6"])
    assert not np.array_equal(first["relu7"], second["relu7"])
    plain = maps_of(module, params, x)
    np.testing.assert_array_equal(plain["relu6"], first["relu6"])
    assert not np.array_equal(plain["relu7"], first["relu7"])
