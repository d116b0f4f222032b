"""The networks against the float64 twin, PyTorch's golden activations, and PyTorch itself where it is installed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.errors import InputError
from nst_jax.networks.convnet import ARCHITECTURES, ConvNet, NetworkSpec, features, layer_names, smallest_image
from tests.golden.make_vgg19_features import SAMPLES, golden_image, sample
from tests.reference import network as twin

RELUS = tuple(name for name in layer_names("vgg19") if name.startswith("relu"))


@pytest.fixture(scope="module")
def vgg():
    return networks.load("vgg19", convolution="xla")


def relative_error(got, expected):
    return np.linalg.norm(np.asarray(got, np.float64) - expected) / np.linalg.norm(expected)


def random_params(spec, key=0):
    taps = (layer_names(spec.architecture)[-1],)
    variables = ConvNet(spec, taps).init(jax.random.key(key), jnp.zeros((1, 80, 80, 3)))
    return variables["params"]


def test_every_tap_agrees_with_the_golden_activations_of_pytorch(vgg):
    golden = np.load(Path(__file__).parent / "golden" / "vgg19_features.npz")
    maps = vgg.features(vgg.params, jnp.asarray(golden_image()), RELUS)
    assert set(golden.files) == set(RELUS)
    for name, found in maps.items():
        assert found[0].size >= SAMPLES
        # The whole map's norm says how large an error of single entries is.
        error = np.linalg.norm(sample(np.asarray(found)) - golden[name]) / np.linalg.norm(golden[name])
        assert error <= 1e-5, name


def test_winograd_agrees_with_the_golden_activations_too():
    golden = np.load(Path(__file__).parent / "golden" / "vgg19_features.npz")
    fast = networks.load("vgg19", convolution="winograd")
    for name, found in fast.features(fast.params, jnp.asarray(golden_image()), RELUS).items():
        assert relative_error(sample(np.asarray(found)), golden[name]) <= 1e-5, name


def test_a_changed_parameter_is_noticed_by_the_golden_comparison(vgg):
    golden = np.load(Path(__file__).parent / "golden" / "vgg19_features.npz")
    kernel = vgg.params["conv3_2"]["kernel"] * 1.001
    params = {**vgg.params, "conv3_2": {**vgg.params["conv3_2"], "kernel": kernel}}
    found = vgg.features(params, jnp.asarray(golden_image()), ("relu3_2",))["relu3_2"]
    assert relative_error(sample(np.asarray(found)), golden["relu3_2"]) > 1e-4


def test_features_agree_with_pytorch_live(vgg):
    pytest.importorskip("torch")
    from experiments.lib.torch_twin import features as torch_features

    image = np.random.default_rng(1).random((1, 45, 61, 3), np.float32)
    expected = torch_features(vgg.params, image, RELUS)
    for name, found in vgg.features(vgg.params, jnp.asarray(image), RELUS).items():
        assert relative_error(found, expected[name]) <= 1e-5, name


@pytest.mark.parametrize("padding", ["zero", "replicate", "reflect"])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("padding_at", ["all", "first"])
def test_vgg_agrees_with_the_float64_twin(vgg, padding, pooling, padding_at):
    spec = NetworkSpec(pooling=pooling, pooling_scale=1.3, padding=padding, padding_at=padding_at)
    image = np.random.default_rng(2).random((19, 34, 3), np.float32)
    taps = ("conv1_1", "pool1", "conv2_2", "relu3_1", "pool4", "relu5_1")
    expected, _ = twin.features(vgg.params, image, taps, spec)
    for name, found in features(vgg.params, jnp.asarray(image)[None], taps, spec=spec).items():
        assert relative_error(found[0], expected[name]) <= 1e-5, name


def test_alexnet_agrees_with_the_float64_twin():
    spec = NetworkSpec("alexnet")
    params = random_params(spec)
    image = np.random.default_rng(3).random((97, 75, 3), np.float32)
    taps = ("relu1", "pool1", "relu2", "pool2", "relu5")
    expected, _ = twin.features(params, image, taps, spec)
    for name, found in features(params, jnp.asarray(image)[None], taps, spec=spec).items():
        assert found.shape[1:] == expected[name].shape
        assert relative_error(found[0], expected[name]) <= 1e-5, name


def test_pooling_scale_multiplies_every_pooled_map(vgg):
    image = jnp.asarray(np.random.default_rng(4).random((1, 16, 16, 3), np.float32))
    one, two = (
        features(vgg.params, image, ("pool1",), spec=NetworkSpec(pooling="average", pooling_scale=scale))["pool1"]
        for scale in (1.0, 2.0)
    )
    np.testing.assert_allclose(2 * one, two, rtol=1e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_smallest_image_reaches_the_last_layer_and_one_pixel_less_does_not(architecture):
    spec = NetworkSpec(architecture)
    side, last = smallest_image(architecture, layer_names(architecture)), layer_names(architecture)[-1]

    def height(n):
        shapes = jax.eval_shape(
            lambda x: ConvNet(spec, (last,)).init_with_output(jax.random.key(0), x)[0], jnp.zeros((1, n, n, 3))
        )
        return shapes[last].shape[1]

    assert height(side) == 1
    assert height(side - 1) == 0


def test_layers_after_the_last_tap_are_not_computed(vgg):
    text = features.lower(vgg.params, jnp.zeros((1, 16, 16, 3)), ("relu2_1",), spec=vgg.spec).as_text()
    assert text.count("stablehlo.convolution") == 3


def test_an_unknown_layer_is_refused_with_the_known_ones(vgg):
    with pytest.raises(InputError, match=r"conv1_1, relu1_1.*'relu6_1'"):
        vgg.features(vgg.params, jnp.zeros((1, 16, 16, 3)), ("relu6_1",))
