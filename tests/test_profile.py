"""The profile of a run: a trace of some steps, and milliseconds by layer, direction and part."""

from pathlib import Path

import numpy as np
import pytest

from nst_jax.images.files import write_image
from nst_jax.runner.profile import milliseconds, table
from tests.sweeping import call


def test_a_run_leaves_a_trace_and_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_image("picture.png", np.random.default_rng(0).random((1, 32, 32, 3), np.float32))
    settings = ["size=32", "scales=1", "steps=5", "loss.content_layers=[relu2_1]", "loss.style_layers=[relu1_2]"]
    pictures = ["content.path=picture.png", "style.path=picture.png"]
    assert call(*pictures, *settings, "loss=gatys", "run.profile=true", "run.dir=run")[0] == 0
    assert list(Path("run/profile").rglob("*.xplane.pb"))
    lines = [line.split() for line in Path("run/profile.txt").read_text().splitlines()]
    assert "mean of 3" in Path("run/profile.txt").read_text()
    for layer in ("conv1_2", "conv2_1"):
        for direction in ("forward", "backward"):
            assert any(line[:2] == [layer, direction] and float(line[-1]) > 0 for line in lines), (layer, direction)


def test_times_of_loops_are_not_counted_twice():
    names = {"fusion.1": "while/body/conv1_2/_convolve_band/mul", "eigh.2": "while/body/eigh"}
    found = milliseconds([("while.9", 5.0), ("fusion.1", 2.0), ("eigh.2", 1.0), ("copy.3", 0.5)], names)
    assert found == {
        ("conv1_2", "forward", "transforms"): 2.0,
        ("", "forward", "eigenproblems"): 1.0,
        ("", "forward", "other"): 0.5,
    }
    assert table(found, 4, (24, 32)).splitlines()[-1].split()[-1] == "3.50"
