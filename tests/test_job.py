"""The job on tiny pictures: the same bytes again, chunks that do not matter, coarse to fine, and every start."""

from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nst_jax import job
from nst_jax.config.compose import make_config
from nst_jax.config.to_spec import to_spec
from nst_jax.errors import InputError
from nst_jax.images.color import match_covariance, to_oklab, transport
from nst_jax.images.files import resize
from nst_jax.job import history
from nst_jax.job.loop import Chunk, JobSteps
from nst_jax.job.pyramid import initial_image
from nst_jax.networks import Network, load
from nst_jax.optimize.lbfgs import lbfgs
from nst_jax.optimize.loop import init_state, upsample
from nst_jax.optimize.solver import SOLVERS, SolverSpec
from nst_jax.runs.folder import loss_terms

SHALLOW = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu2_1"]}


@pytest.fixture(scope="module")
def vgg() -> Network:
    return load("vgg19")


def waves(height: int, width: int, period: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / period
    channels = [np.sin(2 * np.pi * (x + i * y)) for i in (0, 1, 2)]
    return (0.5 + 0.4 * np.stack(channels, axis=-1)[None]).astype(np.float32)


CONTENT, STYLE = waves(24, 40, 20.0), waves(32, 32, 7.0)


def spec_of(**options: Any) -> job.JobSpec:
    options = {"loss": SHALLOW, "scales": [16], "steps": 4, "init": "content"} | options
    return to_spec(make_config(options), architecture="vgg19")


def run(vgg: Network, spec: job.JobSpec, init: np.ndarray | None = None, **options: Any) -> job.Result:
    return job.transfer(vgg.params, job.Inputs(CONTENT, (STYLE,), init), spec, **options)


@pytest.fixture(scope="module")
def from_noise(vgg: Network) -> job.Result:
    return run(vgg, spec_of(init="noise", scales=[16, 32], steps=[7, 4], seed=5))


def test_the_outcome_is_a_picture_with_a_row_for_each_step(from_noise: job.Result):
    assert from_noise.pixels.shape == (1, 19, 32, 3)
    assert from_noise.pixels.dtype == np.float32
    assert from_noise.pixels.min() >= 0
    assert from_noise.pixels.max() <= 1
    rows = from_noise.rows
    assert [row["step"] for row in rows] == list(range(1, 12))
    assert [(row["scale"], row["size"]) for row in rows] == [(0, 16)] * 7 + [(1, 32)] * 4
    terms = [name for name in loss_terms(rows[0]) if name != "loss"]
    assert all(np.isclose(row["loss"], sum(row[name] for name in terms), rtol=1e-5) for row in rows)
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert not from_noise.stopped
    assert from_noise.seconds["total"] >= from_noise.seconds["steps"] > 0


def test_the_same_seed_gives_the_same_bytes_whatever_the_chunks(vgg, from_noise, monkeypatch):
    monkeypatch.setattr(history, "CHUNK_SECONDS", 0.0)  # one step a chunk
    again = run(vgg, spec_of(init="noise", scales=[16, 32], steps=[7, 4], seed=5))
    assert again.pixels.tobytes() == from_noise.pixels.tobytes()
    assert [row["loss"] for row in again.rows] == [row["loss"] for row in from_noise.rows]


def test_from_any_position_the_job_goes_on_to_the_same_bytes(vgg, from_noise, monkeypatch):
    monkeypatch.setattr(history, "CHUNK_SECONDS", 0.0)
    spec = spec_of(init="noise", scales=[16, 32], steps=[7, 4], seed=5)
    positions: list[job.JobState] = []
    run(vgg, spec, observe=lambda report: bool(positions.append(report.position())))
    assert [(at.step, at.stage, at.left) for at in positions[::3]] == [(1, 0, 6), (4, 0, 3), (7, 0, 0), (10, 1, 1)]
    for position in (positions[2], positions[6], positions[8], positions[10]):
        rest = run(vgg, spec, resume=position)
        assert rest.pixels.tobytes() == from_noise.pixels.tobytes()
        assert [untimed(row) for row in rest.rows] == [untimed(row) for row in from_noise.rows[position.step :]]
        assert rest.seconds["steps"] >= position.seconds["steps"] > 0
        assert all(row["seconds"] >= round(position.seconds["total"], 3) for row in rest.rows)


def untimed(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "seconds"}


def test_chunks_end_where_the_observer_wants_to_look(vgg, from_noise, monkeypatch):
    monkeypatch.setattr(history, "CHUNK_SECONDS", 100.0)
    seen: list[job.StepInfo] = []
    spec = spec_of(init="noise", scales=[16, 32], steps=[7, 4], seed=5)
    outcome = run(vgg, spec, observe=lambda report: bool(seen.append(report)), chunk_at=range(3, 100, 3))
    steps = [report.step for report in seen]
    assert {3, 6, 9, 11} <= set(steps)
    assert [row for report in seen for row in report.rows] == outcome.rows
    assert [report.last for report in seen] == [False] * (len(seen) - 1) + [True]
    assert outcome.pixels.tobytes() == from_noise.pixels.tobytes()


def test_another_seed_starts_from_other_noise(vgg, from_noise):
    other = run(vgg, spec_of(init="noise", scales=[16], steps=[1], seed=6))
    assert other.rows[0]["loss"] != from_noise.rows[0]["loss"]


def test_an_observer_stops_the_job_with_the_picture_so_far(vgg):
    pictures: list[np.ndarray] = []

    def stop_at_3(report: job.StepInfo) -> bool:
        pictures.append(report.pixels())
        return report.step >= 3

    outcome = run(vgg, spec_of(scales=[16, 32], steps=[5, 5]), observe=stop_at_3, chunk_at=range(1, 11))
    assert outcome.stopped
    assert [row["step"] for row in outcome.rows] == [1, 2, 3]
    assert outcome.pixels.shape == (1, 10, 16, 3)
    np.testing.assert_array_equal(outcome.pixels, pictures[-1])


def test_a_scale_starts_from_the_result_of_the_one_before(vgg):
    coarse = run(vgg, spec_of(scales=[16], steps=[6], init="noise"))
    both = run(vgg, spec_of(scales=[16, 32], steps=[6, 1], init="noise"))
    large, small = (19, 32), (10, 16)
    detail = resize(CONTENT, large) - resize(resize(CONTENT, small), large)
    start = np.asarray(upsample(jnp.asarray(coarse.pixels), jnp.asarray(detail)))
    np.testing.assert_allclose(start, np.clip(resize(coarse.pixels, large) + detail, 0, 1), atol=0.1)  # clipped once, not twice
    carried = run(vgg, spec_of(scales=[32], steps=[1], init="mine.png"), init=start)
    np.testing.assert_allclose(both.pixels, carried.pixels, atol=1e-5)
    np.testing.assert_allclose(both.rows[-1]["loss"], carried.rows[-1]["loss"], rtol=1e-4)


def test_every_start_is_where_the_first_step_is_taken(vgg):
    size = (10, 16)
    starts = {
        "content": resize(CONTENT, size),
        "style": resize(resize(STYLE, (16, 16)), size),
        "recolored": match_covariance(resize(CONTENT, size), resize(STYLE, (16, 16)), transport),
        "mine.png": resize(waves(20, 30, 3.0), size),
    }
    for init, start in starts.items():
        # The first step of L-BFGS evaluates the picture where it is.
        outcome = run(vgg, spec_of(init=init, steps=1), init=waves(20, 30, 3.0) if init == "mine.png" else None)
        np.testing.assert_array_equal(outcome.pixels, start)
        assert (outcome.rows[0]["content"] < 1e-9) == (init == "content")


def test_the_recolored_start_follows_regions_shares_and_style_masks():
    """The left half in the first style's colors, the right one in equal parts of both; an unpainted region stays."""
    left = np.zeros((1, *CONTENT.shape[1:3], 1), np.float32)
    left[:, :, : CONTENT.shape[2] // 2] = 1
    upper = np.zeros((1, *STYLE.shape[1:3], 1), np.float32)
    upper[:, : STYLE.shape[1] // 2] = 1
    other = np.ascontiguousarray(STYLE[..., ::-1] ** 2)
    content, size = resize(CONTENT, (10, 16)), (16, 16)
    first = resize(STYLE, size)[resize(upper, size)[..., 0] > 0.5][None, :, None]
    reds, blues = (match_covariance(content, colors, transport) for colors in (first, resize(other, size)))
    region = resize(left, (10, 16))
    for weights, rest in (([1, 1], (reds + blues) / 2), ([1, 0], content)):
        options = {"style": {"blend": [[1, 0], [0.5, 0.5]]}, "mask": {"regions": ["left.png", "rest"], "weights": weights}}
        config = make_config({"loss": SHALLOW, "scales": [16], "steps": 1, **options})
        spec = to_spec(config, architecture="vgg19", num_styles=2, num_regions=2)
        inputs = job.Inputs(CONTENT, (STYLE, other), None, (left, None), (upper, None))
        start = initial_image(job.make_stages(inputs, spec)[0], spec, None)
        np.testing.assert_allclose(start, region * reds + (1 - region) * rest, atol=1e-5)


def test_the_default_recipe_lowers_its_loss(vgg):
    outcome = run(vgg, to_spec(make_config({"size": 48, "steps": 12}), architecture="vgg19"))
    losses = [row["loss"] for row in outcome.rows]
    assert losses[-1] < 0.8 * losses[0]
    assert outcome.rows[-1]["style"] < 0.7 * outcome.rows[0]["style"]


def test_without_a_content_layer_a_texture_is_made(vgg):
    outcome = run(vgg, spec_of(init="noise", steps=10, loss=SHALLOW | {"content_layers": []}))
    assert {row["content"] for row in outcome.rows} == {0.0}
    assert outcome.rows[-1]["style"] < 0.5 * outcome.rows[0]["style"]


def test_a_style_picture_is_never_enlarged_and_its_scale_matters(vgg):
    plain, coarse = (run(vgg, spec_of(steps=1, scales=[16], style={"scale": scale})) for scale in (1, 1.5))
    assert plain.rows[0]["style"] != coarse.rows[0]["style"]
    beyond, far_beyond = (run(vgg, spec_of(steps=1, scales=[16], style={"scale": scale})) for scale in (2, 50))
    assert beyond.rows[0]["style"] == far_beyond.rows[0]["style"]


def stalling_at_step_2(**options: Any) -> optax.GradientTransformationExtraArgs:
    real = lbfgs()

    def update(grads: Any, state: Any, params: Any, **extra: Any) -> tuple[Any, Any]:
        moves, after = real.update(grads, state, params, **extra)
        return moves, optax.tree_utils.tree_set(after, stalled=state.accepted)

    return optax.GradientTransformationExtraArgs(real.init, update)  # pyright: ignore[reportArgumentType]


def test_a_chunk_that_fails_ends_the_jobs_that_shared_it_alone():
    state = init_state(jnp.zeros((1, 1, 1, 3)), solver=SolverSpec(), terms=())

    def steps(stage: int, program: Any) -> JobSteps:
        yield Chunk(stage, program, {}, state, (), (), jnp.int32(1))
        return job.Result(np.zeros((1, 1, 1, 3), np.float32), [], {}, [], False)

    def exhausted(*arguments: Any) -> NoReturn:
        raise MemoryError

    def idle(params: Any, states: Any, targets: Any, weights: Any, counts: Any) -> Any:
        return [(state, {}, count) for state, count in zip(states, counts, strict=True)]

    failed, done = job.run_jobs([steps(0, exhausted), steps(1, idle)], 2)
    assert isinstance(failed, MemoryError)
    assert isinstance(done, job.Result)


def test_a_stalled_scale_is_said_and_left(vgg, monkeypatch):
    monkeypatch.setitem(SOLVERS, "stalling", stalling_at_step_2)
    said: list[job.StepInfo] = []
    spec = spec_of(scales=[16, 32], steps=[50, 50], optimizer={"name": "stalling"})
    outcome = run(vgg, spec, observe=lambda report: bool(said.append(report)))
    assert [(row["step"], row["size"]) for row in outcome.rows] == [(1, 16), (2, 16), (3, 32), (4, 32)]
    assert outcome.recoveries == [message for report in said for message in report.messages]
    assert [message.split(":")[0] for message in outcome.recoveries] == [
        "by step 2 no step lowers the loss any more", "by step 4 no step lowers the loss any more",
    ]  # fmt: skip
    assert [report.last for report in said] == [False, False, False, True]


def test_a_scale_that_ends_far_above_its_start_is_said(vgg):
    rates = {rate: run(vgg, spec_of(optimizer={"name": "adam", "learning_rate": rate})) for rate in (0.01, 1e9)}
    assert rates[0.01].recoveries == []
    assert [message.partition(":")[2] for message in rates[1e9].recoveries] == [" use a smaller rate"]


@pytest.mark.parametrize(("content", "style", "role"), [((16, 320), (32, 32), "content"), ((32, 32), (300, 16), "style")])
def test_a_picture_too_narrow_for_a_scale_is_refused(vgg, content: tuple[int, int], style: tuple[int, int], role: str):
    spec = to_spec(make_config({"size": 64}), architecture="vgg19")
    with pytest.raises(InputError, match=rf"^{role} must be at least 16 pixels on each side at the scale 64, got \d+x\d+; use"):
        job.transfer(vgg.params, job.Inputs(waves(*content, 5.0), (waves(*style, 5.0),)), spec)


@pytest.mark.parametrize("color", ["luminance", "locked"])
def test_colors_are_laid_out_as_in_the_content_at_every_scale(vgg, color: str):
    seen: list[np.ndarray] = []
    spec = spec_of(scales=[16, 32], steps=[3, 3], color=color)
    outcome = run(vgg, spec, observe=lambda report: bool(seen.append(report.pixels())))
    for painted, stage in zip((seen[0], outcome.pixels), job.make_stages(job.Inputs(CONTENT, (STYLE,)), spec), strict=True):
        original = resize(CONTENT, painted.shape[1:3])
        if color == "locked":
            original = match_covariance(original, np.asarray(stage.styles.pictures[0]), transport)
        shown = ((painted > 0) & (painted < 1)).all(-1)  # the others are colors that no screen shows
        np.testing.assert_allclose(to_oklab(painted)[shown][:, 1:], to_oklab(original)[shown][:, 1:], atol=1e-3)


def test_matched_colors_change_the_style_that_is_seen(vgg):
    plain, matched = (run(vgg, spec_of(steps=1, scales=[16], color=color)) for color in ("style", "match"))
    assert plain.rows[0]["style"] != matched.rows[0]["style"]
    assert plain.rows[0]["content"] == matched.rows[0]["content"]


def test_a_stage_keeps_each_of_its_pictures_once():
    inputs = job.Inputs(CONTENT, (STYLE,))
    first, second = stages = job.make_stages(inputs, spec_of(scales=[16, 32], steps=[1, 1]))
    assert second.coarser is first.content
    np.testing.assert_array_equal(second.detail, resize(CONTENT, (19, 32)) - resize(resize(CONTENT, (10, 16)), (19, 32)))
    kept = [job.compile_key({}, stage, spec_of()).arrays[1] for stage in stages]
    assert not [leaf for leaf in jax.tree.leaves(kept) if isinstance(leaf, jax.Array | np.ndarray)]


@pytest.mark.parametrize("options", [{"content_weight": 0}, {"content_layers": []}])
def test_a_texture_gets_nothing_of_the_content(vgg, options: dict[str, Any]):
    first, second = job.make_stages(job.Inputs(CONTENT, (STYLE,)), spec_of(scales=[16, 32], steps=[1, 1], loss=options))
    assert not first.detail.any()
    assert not second.detail.any()
    assert job.make_stages(job.Inputs(CONTENT, (STYLE,)), spec_of(scales=[16, 32], steps=[1, 1]))[1].detail.any()
