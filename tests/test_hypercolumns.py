"""Hypercolumns, layers joined to one map, and styles whose quarter turns count: what they are, and whole = in tiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.config.compose import make_config
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.hypercolumns import joined
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.partition import WHOLE, ExecutionPlan

LAYERS = ("relu1_1+relu2_1", "relu2_1")


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla", taps=("relu2_1",)).params


def picture(seed: int, height: int = 30, width: int = 70) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random((1, height, width, 3), np.float32) ** (1 + seed % 3))


def loss_of(params, spec: ObjectiveSpec, styles: Styles, plan: ExecutionPlan = WHOLE):
    """The loss and its gradient as a function of the image."""
    weights = LossWeights({}, dict.fromkeys(spec.style_layers, 1.0), 0.0, (1.0, 1.0)[: 1 if styles.regions is None else 2])  # pyright: ignore

    @jax.jit
    def run(image):
        targets = make_targets(params, image * 0, styles, spec=spec, plan=plan)
        return jax.value_and_grad(lambda x: loss(params, x, targets, weights, spec=spec, plan=plan)[0])(image)

    return run


def spec_of(distance: str, layers: tuple[str, ...] = LAYERS, **options) -> ObjectiveSpec:
    return ObjectiveSpec(NetworkSpec(pooling="average"), (), layers, style_distance=distance, **options)


def test_each_position_holds_the_means_of_what_lies_there_and_each_layer_counts_alike():
    rng = np.random.default_rng(0)
    maps = {"relu1_1": rng.random((1, 13, 21, 64)), "relu3_1": rng.random((1, 3, 5, 256))}
    found = joined({name: jnp.asarray(each, jnp.float32) for name, each in maps.items()}, "relu1_1+relu3_1", "vgg19")
    assert found.shape == (1, 3, 5, 320)
    means = maps["relu1_1"][0, 8:12, 16:20].mean((0, 1)), maps["relu3_1"][0, 2, 4]
    np.testing.assert_allclose(found[0, 2, 4], np.sqrt([2.5] * 64 + [0.625] * 256) * np.concatenate(means), rtol=1e-6)


@pytest.mark.parametrize(("distance", "masked"), [("gram", False), ("neighbors", True)])
def test_tiles_give_the_loss_and_the_gradient_of_the_whole_picture(params, distance: str, masked: bool):
    spec = spec_of(distance, turned=masked)
    left = jnp.where(jnp.arange(70) < 23, 1.0, 0.2)[None, None, :, None] * jnp.ones((1, 30, 1, 1))
    masks = (picture(5, 30, 40)[..., :1],) if masked else ()
    styles = Styles((picture(2, 30, 40),), None, masks, jnp.concatenate([left, 1 - left]) if masked else None)
    (value, gradient), (tiled, gradient_tiled) = (
        loss_of(params, spec, styles, plan)(picture(0)) for plan in (WHOLE, ExecutionPlan(tile=32))
    )
    assert float(tiled) == pytest.approx(float(value), rel=1e-5)
    assert np.linalg.norm(gradient_tiled - gradient) <= 1e-5 * np.linalg.norm(gradient)


@pytest.mark.parametrize("distance", ["wasserstein", "sliced_wasserstein", "neighbors"])
def test_a_turned_style_gives_the_loss_of_any_of_its_turns(params, distance: str):
    image, style = picture(0), picture(1, 32, 24) * jnp.float32(jnp.arange(24) % 6 < 3).reshape(1, 1, 24, 1)  # stripes, upright
    turned, sideways = ({spec_turned: loss_of(params, spec_of(distance, turned=spec_turned), Styles((x,)))(image)[0]
                         for spec_turned in (True, False)} for x in (style, jnp.rot90(style, 1, (1, 2))))  # fmt: skip
    assert float(turned[True]) == pytest.approx(float(sideways[True]), rel=1e-4)
    assert float(turned[False]) != pytest.approx(float(sideways[False]), rel=1e-3)


def test_all_positions_of_all_turns_can_be_matched(params):
    style = picture(1, 32, 24)
    for quarters in range(4):
        image = jnp.rot90(style, quarters, (1, 2))
        assert float(loss_of(params, spec_of("neighbors", turned=True), Styles((style,)))(image)[0]) < 1e-5


@pytest.mark.parametrize("layer", ["relu2_1+relu1_1", "relu1_1+relu1_1", "relu1_1+", "relu1_1+relu9_9"])
def test_layers_out_of_order_are_refused(layer: str):
    with pytest.raises(InputError, match="relu"):
        to_spec(make_config({"loss.style_layers": [layer]}), architecture="vgg19")
