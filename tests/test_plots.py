"""The loss curves, looked at by their colors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.images.files import read_image
from nst_jax.report.plots import plot_losses


def _rows(steps: int = 60, **changes: Any) -> list[dict[str, Any]]:
    return [
        {"step": step, "scale": step // 30, "size": 128 * (1 + step // 30), "seconds": step}
        | {"loss": 130.0 / (1 + step) + 2, "content": 2.0, "style": 130.0 / (1 + step), "tv": 0.01}
        | changes
        for step in range(steps)
    ]


def _plot(path: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    plot_losses(path, rows)
    return read_image(path).pixels[0]


def _pixels_near(picture: np.ndarray, color: str) -> int:
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return int((np.abs(picture - wanted).max(axis=-1) < 0.1).sum())


CONTENT, STYLE, TV = "#0072B2", "#D55E00", "#009E73"


def test_every_term_is_drawn_in_its_color(tmp_path: Path):
    picture = _plot(tmp_path / "losses.png", _rows())
    assert all(_pixels_near(picture, color) > 300 for color in (CONTENT, STYLE, TV))


def test_a_term_that_is_always_zero_or_null_is_left_out(tmp_path: Path):
    picture = _plot(tmp_path / "losses.png", _rows(tv=0.0, content=None))
    assert _pixels_near(picture, TV) == _pixels_near(picture, CONTENT) == 0
    assert _pixels_near(picture, STYLE) > 300


def test_changes_of_scale_are_marked(tmp_path: Path):
    # Equal but for the marks: the dashed line and the sizes are gray on white.
    marked, plain = _plot(tmp_path / "a.png", _rows()), _plot(tmp_path / "b.png", _rows(scale=0))
    assert marked.shape == plain.shape
    columns = (np.abs(marked - plain).max(axis=-1) > 0.2).sum(axis=0)
    assert columns.max() > 0.4 * len(marked)


@pytest.mark.parametrize("rows", [[], _rows(1), _rows(3, loss=None, content=None, style=None, tv=None)])
def test_few_or_no_values_still_give_a_picture(tmp_path: Path, rows: list[dict[str, Any]]):
    assert _plot(tmp_path / "losses.png", rows).shape == (550, 990, 3)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path):
    plot_losses(tmp_path / "a.png", _rows())
    plot_losses(tmp_path / "b.png", _rows())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_an_unwritable_place_is_one_clear_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"^[^\n]+ must be writable, got [^\n]+$"):
        plot_losses(tmp_path / "missing" / "losses.png", _rows())


def test_importing_the_module_does_not_load_matplotlib():
    check = "import nst_jax.report.plots, sys; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
