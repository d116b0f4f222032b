"""From a config to specs: defaults, every bound and name, and the rules of scales and steps."""

import dataclasses
from typing import Any

import pytest
import yaml

from nst_jax.config.compose import make_config
from nst_jax.config.schema import Config
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.job import JobSpec, Scale
from nst_jax.networks.convnet import layer_names
from nst_jax.objective.conventions import CONVENTIONS
from nst_jax.objective.loss import ObjectiveSpec
from nst_jax.optimize.solver import SOLVERS


def spec_of(architecture: str = "vgg19", **options: Any) -> JobSpec:
    return to_spec(make_config(options), architecture=architecture)


def objective_of(architecture: str = "vgg19", **options: Any) -> ObjectiveSpec:
    objective = spec_of(architecture, **options).objective
    assert isinstance(objective, ObjectiveSpec)
    return objective


def message_of(**options: Any) -> str:
    with pytest.raises(InputError) as caught:
        spec_of(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_defaults_are_the_main_job():
    spec = spec_of()
    assert spec.objective.network.architecture == "vgg19"
    assert objective_of().content_layers == ("relu2_2", "relu3_2", "relu4_2")
    assert objective_of().style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert (spec.init, spec.seed, spec.style_scales) == ("recolored", 0, (1.0,))
    assert [scale.size for scale in spec.scales] == sorted({scale.size for scale in spec.scales})
    assert spec.scales[-1].size == Config().size


def test_the_settings_of_lbfgs_are_its_arguments():
    assert dict(spec_of(optimizer={"memory": 7, "dct_floor": 0.25}).solver.options) == {"memory": 7, "dct_floor": 0.25}
    assert "dct_floor" not in dict(spec_of(optimizer={"name": "adam"}).solver.options)


def test_specs_can_be_keys_of_compiled_programs():
    same, other = spec_of(size=64), spec_of(size=64, network={"pooling": "average"})
    assert hash(same.objective) == hash(spec_of(size=64).objective)
    assert same.objective != other.objective
    assert {same.solver: 1}[spec_of().solver] == 1


@pytest.mark.parametrize(
    "setting",
    [
        "size=15", "size=1.5", "size=99999999999999999999", "seed=-1", "seed=one", f"seed={2**63}", "steps=0", "steps=-5",
        "steps=1.5", "steps=true", "steps=[0]", "scales=[15,64]", "scales=[]", "scales=true", "scales=fine", "scales=null",
        "scales=[32.5]", "scales=0", "style.scale=0", "style.scale=.inf", "style.path=[]", "style.blend=[1.5,-0.5]",
        "network.pooling_scale=0", "network.pooling=avarage", "loss.content_weight=-1", "loss.style_weight=.nan",
        "loss.style_weight=.inf", "loss.style_weight=true", "loss.tv_weight=-0.1", "loss.content_layer_weights=[-1]",
        "loss.style_layer_weights=doubling", "loss.style_layer_weights=3", "loss.style_layer_weights=[much]",
        "loss.style_layer_weights=1:x", "loss.style_layers=relu1_1", "optimizer.learning_rate=0", "optimizer.memory=0",
        "optimizer.dct_floor=-1",
        "optimizer.averaging=1", "run.log_every=0", "run.snapshot_every=-1", "run.quiet=perhaps", "scale.tile=8",
        "scale.tile=big", "scale.devices=0", "scale.devices=all", "scale.devices=500", "content.path='http://a.org/b.jpg'",
    ],
)  # fmt: skip
def test_a_value_out_of_range_or_of_another_type_is_named(setting: str):
    key, _, text = setting.partition("=")
    value = yaml.safe_load(text)
    message = message_of(**{key: value})
    assert message.startswith(f"{key} must be ")
    assert repr(value) in message


@pytest.mark.parametrize(
    ("options", "what", "names"),
    [
        ({"network": {"pooling": "mean"}}, "network.pooling", ["max", "average"]),
        ({"network": {"padding": "mirror"}}, "network.padding", ["zero", "replicate", "reflect"]),
        ({"network": {"padding_at": "last"}}, "network.padding_at", ["all", "first"]),
        ({"network": {"convolution": "fft"}}, "network.convolution", ["auto", "winograd", "xla"]),
        ({"loss": {"convention": "mine"}}, "loss.convention", list(CONVENTIONS)),
        ({"loss": {"style_distance": "cosine"}}, "loss.style_distance", ["gram"]),
        ({"loss": {"style_layers": ["relu6_1"]}}, "layer", ["relu1_1", "relu5_4", "pool5"]),
        ({"loss": {"content_layers": ["relu3"]}}, "layer", ["relu1_1", "relu5_4", "pool5"]),
        ({"optimizer": {"name": "sgd"}}, "optimizer.name", list(SOLVERS)),
    ],
)
def test_an_unknown_name_lists_the_valid_ones(options: dict[str, Any], what: str, names: list[str]):
    message = message_of(**options)
    assert message.startswith(f"{what} must be one of ")
    assert all(name in message for name in names)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_is_accepted(convention: str):
    assert objective_of(loss={"convention": convention}).convention == convention


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19", "alexnet"])
def test_every_layer_can_carry_either_term(architecture: str):
    layers = list(layer_names(architecture))
    objective = objective_of(architecture, loss={"content_layers": layers, "style_layers": layers})
    assert objective.content_layers == objective.style_layers == tuple(layers)


def test_a_layer_of_another_network_is_refused():
    with pytest.raises(InputError, match="vgg16"):
        spec_of("vgg16", loss={"content_layers": ["relu3_4"]})


def test_a_repeated_layer_and_no_layer_at_all_are_refused():
    assert "each layer once" in message_of(loss={"style_layers": ["relu1_1", "relu1_1"]})
    assert "a content or a style layer" in message_of(loss={"style_layers": [], "content_layers": []})


def test_a_term_may_go_without_layers():
    assert spec_of(loss={"content_layers": []}).loss_weights.content == {}
    assert objective_of(loss={"style_layers": []}).style_layers == ()


def test_layer_weights_are_shares_of_the_term():
    weights = spec_of(
        loss={"style_layers": ["relu1_1", "relu2_1"], "style_layer_weights": [1, 3], "style_weight": 10, "content_weight": 7}
    ).loss_weights
    assert weights.style == {"relu1_1": 10.0, "relu2_1": 30.0}
    assert weights.content == pytest.approx({"relu2_2": 7 / 12, "relu3_2": 35 / 12, "relu4_2": 3.5})
    equal = spec_of(loss={"style_weight": 10, "style_layer_weights": None}).loss_weights.style
    assert list(equal.values()) == [2.0] * 5
    middle = spec_of(loss={"style_layers": ["relu1_2", "pool1", "relu3_1", "relu5_3"]}).loss_weights.style
    assert {name: round(52 * weight, 5) for name, weight in middle.items()} == {
        "relu1_2": 6, "pool1": 6, "relu3_1": 36, "relu5_3": 4,
    }  # fmt: skip
    halving = spec_of(loss={"style_weight": 31, "style_layer_weights": "halving"}).loss_weights.style
    assert list(halving.values()) == [16.0, 8.0, 4.0, 2.0, 1.0]


@pytest.mark.parametrize(("loss", "there"), [({}, True), ({"color_weight": 0}, False), ({"style_layers": []}, False)])
def test_colors_are_a_term_where_they_have_a_weight_and_a_style(loss: dict[str, object], there: bool):
    assert ("color" in spec_of(loss=loss).objective.terms) == there


def test_strength_goes_from_a_tenth_to_ten_times_the_weight_of_the_style():
    of = {s: spec_of(strength=s, loss={"style_weight": 3, "color_weight": 20}).loss_weights for s in (0, 0.5, 1)}
    assert {s: sum(weights.style.values()) for s, weights in of.items()} == pytest.approx({0: 0.3, 0.5: 3, 1: 30})
    assert {s: weights.color for s, weights in of.items()} == pytest.approx({0: 2, 0.5: 20, 1: 200})
    assert of[0].content == of[1].content
    assert of[0.5] == spec_of(loss={"style_weight": 3, "color_weight": 20}).loss_weights
    assert "between 0 and 1" in message_of(strength=1.5)


def test_layer_weights_come_one_for_each_layer():
    message = message_of(loss={"style_layer_weights": [1, 2]})
    assert "loss.style_layer_weights" in message
    assert "[1.0, 2.0]" in message


@pytest.mark.parametrize(("size", "sizes"), [(16, [16]), (191, [191]), (192, [96, 192]), (1000, [125, 250, 500, 1000])])
def test_automatic_scales_halve_the_size_and_double_the_steps(size: int, sizes: list[int]):
    steps = [10 * 2**i for i in range(len(sizes))][::-1]
    assert spec_of(size=size, steps=10).scales == tuple(Scale(*pair) for pair in zip(sizes, steps, strict=True))


def test_given_scales_take_the_steps_as_they_are():
    assert spec_of(scales=[32, 64], steps=10).scales == (Scale(32, 10), Scale(64, 10))
    assert spec_of(scales=[32, 64], steps=[30, 5]).scales == (Scale(32, 30), Scale(64, 5))
    assert spec_of(scales=(48,), steps=[7]).scales == (Scale(48, 7),)
    assert spec_of(size=192, steps=[7, 8]).scales == (Scale(96, 7), Scale(192, 8))


def test_scales_may_be_how_many_and_follow_the_size():
    assert spec_of(size=256, scales=1, steps=9).scales == (Scale(256, 9),)
    assert spec_of(size=100, scales=3, steps=5).scales == (Scale(25, 20), Scale(50, 10), Scale(100, 5))
    assert spec_of(size=512, scales=2, steps=[30, 15]).scales == (Scale(256, 30), Scale(512, 15))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"scales": [64, 32]}, "scales must grow, got [64, 32]"),
        ({"scales": [64, 64]}, "scales must grow, got [64, 64]"),
        ({"scales": [32, 64], "steps": [1]}, "steps must have one number for each of the scales [32, 64], got [1]"),
        ({"size": 64, "steps": [1, 2]}, "steps must have one number for each of the scales [64], got [1, 2]"),
        ({"size": 64, "scales": 2, "steps": [1]}, "steps must have one number for each of the scales [32, 64], got [1]"),
        ({"size": 64, "scales": 4}, "size of the smallest scale must be at least 16, got 8"),
        ({"size": 512, "scales": [128, 256]}, "size must be the last of scales=[128, 256], got 512; set size=256, or"),
    ],
)
def test_scales_and_steps_that_do_not_fit(options: dict[str, Any], what: str):
    assert message_of(**options).startswith(what)


def test_a_scale_too_small_for_the_deepest_layer_is_refused():
    with pytest.raises(InputError, match=r"^size of the smallest scale must be at least \d+, got 16$"):
        spec_of("alexnet", size=16, loss={"content_layers": ["relu5"], "style_layers": ["relu1"]})
    assert spec_of(size=16).scales == (Scale(16, 60),)


def test_a_start_that_is_no_name_is_a_file():
    assert [spec_of(init=init).init for init in ("content", "style", "noise", "me.jpg")] == [
        "content",
        "style",
        "noise",
        "file",
    ]


def test_configs_are_not_shared():
    make_config({}).loss.style_layers.append("relu9_9")
    assert dataclasses.asdict(make_config({})) == dataclasses.asdict(Config())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"scale": {"tile": 512}, "loss": {"style_distance": "sliced_wasserstein"}},
            "scale.tile must be off or auto with sliced_wasserstein, which needs whole maps, got 512",
        ),
        (
            {"scale": {"devices": 2}, "loss": {"style_distance": "sliced_wasserstein"}},
            "scale.devices must be 1 or auto with sliced_wasserstein, which needs whole maps, got 2",
        ),
    ],
)
def test_tiles_and_devices_that_cannot_be(settings: dict[str, Any], message: str):
    with pytest.raises(InputError) as caught:
        to_spec(make_config(settings), architecture="vgg19")
    assert str(caught.value) == message
