"""The time of a run, as it is told before the run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from nst_jax.config.compose import make_config
from nst_jax.images.files import write_image
from nst_jax.job import Result, Scale
from nst_jax.runner import estimate as module
from nst_jax.runner.estimate import estimate, first_line, learn
from nst_jax.runner.prepare import Prepared, prepare
from nst_jax.runs.progress import step_cost


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Prepared:
    """A run of two scales, beside an empty cache."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path))
    write_image(tmp_path / "me.png", np.zeros((1, 50, 100, 3), np.float32))
    pictures = {"content": {"path": str(tmp_path / "me.png")}, "style": {"path": str(tmp_path / "me.png")}}
    return prepare(make_config({**pictures, "size": 200, "scales": [100, 200], "steps": [30, 20]}))


def at_sizes(prepared: Prepared, *scales: Scale) -> Prepared:
    return replace(prepared, spec=replace(prepared.spec, scales=scales))


def ended(steps: float, total: float, rows: int = 50) -> Result:
    pixels = np.zeros((1, 100, 200, 3), np.float32)
    return Result(pixels, [{}] * rows, {"compile": 0.0, "steps": steps, "total": total}, [], False)


def test_a_run_teaches_the_next_one_of_its_kind(prepared: Prepared):
    first = estimate(prepared)
    assert first.work == (30 * step_cost(50 * 100), 20 * step_cost(100 * 200))
    assert not first.known
    learn(prepared, ended(steps=11.0, total=15.0))
    again = estimate(prepared)
    assert again.known
    assert again.rate == pytest.approx(1_550_000 / 11)
    assert again.seconds == pytest.approx(15.0)
    assert estimate(at_sizes(prepared, Scale(200, 30), Scale(400, 20))).seconds == pytest.approx(3_200_000 / 1_550_000 * 11 + 4)
    assert not estimate(replace(prepared, begun={"params": {"name": "vgg16"}})).known


def test_what_was_stopped_resumed_or_short_teaches_nothing(prepared: Prepared):
    learn(prepared, replace(ended(1.0, 2.0), stopped=True))
    learn(prepared, ended(1.0, 2.0, rows=49))
    learn(at_sizes(prepared, Scale(100, 2)), ended(1.0, 2.0))
    assert not module._file().exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 3}', '{"a": {"rate": "x"}}', "\0"])
def test_a_damaged_record_is_none(prepared: Prepared, text: str):
    module._file().write_text(text)
    assert estimate(prepared).seconds
    learn(prepared, ended(11.0, 15.0))
    assert estimate(prepared).known


def test_the_first_line_names_device_size_and_time(prepared: Prepared):
    learn(prepared, ended(11.0, 15.0))
    line = first_line(prepared)
    assert "200x100" in line
    assert "about 15 s" in line
    assert module._device() in line
