"""Terms that a loss may have beside content, style and smoothness: they are added to it, with their gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import networks
from nst_jax.networks.convnet import NetworkSpec
from nst_jax.objective.loss import LossWeights, ObjectiveSpec, Styles, loss, make_targets
from nst_jax.objective.palette import color_term, make_palette
from nst_jax.objective.temporal import Reference
from nst_jax.partition import WHOLE, ExecutionPlan

LAYERS = ("relu1_1", "relu2_1")
PLAIN = ObjectiveSpec(NetworkSpec(), ("relu2_1",), LAYERS)
SPEC = ObjectiveSpec(NetworkSpec(), ("relu2_1",), LAYERS, temporal=True, color=True)
WEIGHTS = LossWeights({"relu2_1": 1.0}, dict.fromkeys(LAYERS, 0.5), 0.1, temporal=7.0, color=5.0)  # pyright: ignore


def picture(seed: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 70, 90, channels), np.float32) ** (1 + seed % 3)


CONTENT, STYLE, IMAGE = (picture(seed) for seed in (3, 4, 5))
REFERENCE = Reference(picture(6), picture(7, 1))  # pyright: ignore


@pytest.fixture(scope="module")
def params():
    return networks.load("vgg19", convolution="xla", taps=LAYERS).params


def loss_of(params, spec: ObjectiveSpec = SPEC, dtype: Any = np.float32, plan: ExecutionPlan = WHOLE) -> Any:
    """The loss and its terms as a function of the image."""
    cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)  # noqa: E731
    options: Any = {"spec": spec, "plan": plan}
    reference = [cast(REFERENCE)] if spec.temporal else []
    targets = make_targets(cast(params), cast(CONTENT), Styles((cast(STYLE),)), *reference, **options)
    return jax.jit(lambda x: loss(cast(params), x, targets, cast(WEIGHTS), **options))


def test_the_terms_are_what_the_formulas_say_and_add_up(params):
    image = jnp.asarray(IMAGE)
    total, terms = loss_of(params)(image)
    palette = make_palette([jnp.asarray(STYLE)], [None], [[1.0]], None, (70, 90))
    error = np.asarray(IMAGE, np.float64) - np.asarray(REFERENCE.pixels)
    assert float(terms["color"]) == pytest.approx(5 * float(color_term(image, palette, (1.0,))), rel=1e-5)
    assert float(terms["temporal"]) == pytest.approx(7 * float((np.asarray(REFERENCE.weight) * error**2).mean()), rel=1e-5)
    plain, others = loss_of(params, PLAIN)(image)
    assert set(terms) - set(others) == {"color", "temporal"}
    assert float(total) == pytest.approx(float(plain + terms["color"] + terms["temporal"]), rel=1e-6)


def test_the_gradients_in_double_precision_are_those_of_differences(params):
    with jax.enable_x64(True):
        of = loss_of(params, dtype=np.float64)
        image, direction = jnp.asarray(IMAGE, np.float64), jnp.asarray(np.random.default_rng(1).normal(size=IMAGE.shape))
        step = 1e-7
        ahead, behind = (of(image + sign * step * direction)[1] for sign in (1, -1))
        slopes = jax.jvp(lambda x: of(x)[1], (image,), (direction,))[1]
        for name in ("color", "temporal"):
            slope = float(jnp.vdot(jax.grad(lambda x, name=name: of(x)[1][name])(image), direction))
            assert slope == pytest.approx(float((ahead[name] - behind[name]) / (2 * step)), rel=1e-5)
            assert slope == pytest.approx(float(slopes[name]), rel=1e-9)


def test_tiles_give_the_same_loss(params):
    whole, tiled = (loss_of(params, plan=plan)(jnp.asarray(IMAGE)) for plan in (WHOLE, ExecutionPlan(tile=64)))
    np.testing.assert_allclose(tiled[0], whole[0], rtol=1e-5)
