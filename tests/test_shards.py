"""Several devices: the loss, the gradient and the picture of one, whatever its size, the masks, the network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nst_jax.partition.shards import rows_each, shares_rows

SCRIPT = Path(__file__).with_name("many_devices.py")


@pytest.fixture(scope="module")
def cases() -> dict[str, dict[str, Any]]:
    """What `many_devices.py` prints, in a process of its own: the number of devices is settled when JAX begins."""
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, cwd=SCRIPT.parents[1], check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {row.pop("case"): row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize(
    "case",
    [
        *("deep, and more devices than rows", "even", "replicate", "reflect", "by XLA", "masks, two styles", "computed anew"),
        *("masks, two styles, neighbors", "a hypercolumn, more rows than positions"),
        *("alexnet", "tiles"),
    ],
)
def test_loss_and_gradient_are_those_of_one_device(cases: dict[str, dict[str, Any]], case: str):
    assert cases[case]["loss"] <= 1e-5
    assert cases[case]["gradient"] <= 2e-5


@pytest.mark.parametrize(("case", "part"), [("rows", 1 / 4), ("columns", 1 / 4)])
def test_a_job_paints_the_same_picture_and_each_device_has_its_part_of_the_state(cases, case: str, part: float):
    assert cases[case]["picture"] <= 2e-3
    assert cases[case]["parts"] == part


def test_only_the_rows_of_convolutions_are_sent(cases):
    # From above and from below, for conv1_1 to conv2_1, backwards too; and of the image, whose total variation compares rows.
    assert cases["sends"]["sends"] == 2 * 2 * 3 + 2


def test_dense_layers_are_not_shared():
    assert shares_rows("vgg16", ("pool5",))
    assert not shares_rows("alexnet2012", ("fc8",))


def test_each_device_has_whole_positions_of_the_deepest_map():
    assert rows_each("vgg19", ("relu5_1",), 50, 8) == 16
    assert rows_each("vgg19", ("relu1_1",), 50, 8) == 7
