"""Sweeps: the record they leave, whichever launcher runs them; members together give what they give alone."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.job import compile as programs
from nst_jax.objective import loss as objective
from nst_jax.runs.callback import Recorder
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps import member, sweep
from nst_jax.sweeps.figures.contact_sheet import layout
from nst_jax.sweeps.folder import SweepFolder, create_sweep
from nst_jax.sweeps.grid import Grid, product
from nst_jax.sweeps.table import rows_of

TINY = [
    *("content.path=content.png", "style.path=style.png", "size=24", "steps=4", "hydra.sweep.dir=all"),
    *("loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]"),
]
GO_ON = "; to go on: python -m nst_jax.run --resume all"
Main = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    for module in (member, sweep):
        monkeypatch.setattr(module, "use_compilation_cache", lambda: None)
    generator = np.random.default_rng(0)
    for name in ("content", "style", "other"):
        write_image(f"{name}.png", generator.random((1, 24, 24, 3), np.float32))


def table(folder: str = "all") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(folder, "table.csv").read_text().splitlines()))


def statuses() -> list[str]:
    return [member["status"] for member in SweepFolder(Path("all")).read()["members"]]


def final(folder: str) -> dict[str, Any]:
    return RunFolder(Path(folder)).read_metrics()[-1]


def test_a_sweep_leaves_its_record(main: Main):
    code, out, _ = main("-m", *TINY, "loss.style_weight=1e0,1e2", "network.pooling=max,average")
    assert code == 0
    assert out.splitlines()[-1] == "all: 4 done; see report.html, contact_sheet.png and table.csv"
    assert {path.name for path in Path("all").iterdir()} == {
        *("0", "1", "2", "3", "sweep.json", "table.csv", "contact_sheet.png", "pareto.png", "report.html"),
    }
    record = json.loads(Path("all/sweep.json").read_text())
    assert record["keys"] == {"loss.style_weight": ["1.0", "100.0"], "network.pooling": ["max", "average"]}
    assert [m["folder"] for m in record["members"]] == ["0", "1", "2", "3"]
    assert {"loss.style_weight=100.0", "network.pooling=max", "size=24"} < {*record["members"][2]["overrides"]}
    rows = table()
    assert [row["network.pooling"] for row in rows] == ["max", "average"] * 2
    assert float(rows[2]["style"]) == pytest.approx(100 * float(rows[2]["style_loss"]))
    assert float(rows[2]["loss"]) == pytest.approx(final("all/2")["loss"])
    assert min(read_image("all/contact_sheet.png").pixels.shape[1:3]) > 300


def test_a_member_that_fails_is_told_and_the_others_go_on(main: Main):
    code, out, err = main("-m", *TINY, "content.path=content.png,missing.png,other.png")
    assert code == 1
    assert "error: member 1 of the sweep failed: image missing.png must be a file, got no such file; check the path" in err
    assert out.splitlines()[-1] == "all: 2 done, 1 failed; see report.html, contact_sheet.png and table.csv" + GO_ON
    assert statuses() == ["done", "failed", "done"]
    assert "missing.png" in table()[1]["error"]
    code, *_ = main(
        "-m", *TINY, "content.path=content.png,missing.png,other.png", "hydra/launcher=batched", "hydra.sweep.dir=b"
    )
    assert code == 1
    assert [row["status"] for row in table("b")] == ["done", "failed", "done"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss.style_wait=1,2"], "error: key must be one that the config has, got 'loss.style_wait'"),
        (["size=24,8"], "error: size must be at least 16, got 8"),
        (["loss.style_weight=interval(1,10)"], "error: loss.style_weight must list its values, got an interval"),
        (["seed=1,2", "hydra.sweep.subdir=x"], "error: hydra.sweep.subdir must give each member a folder of its own"),
        (["seed=1,2", "hydra.sweep.dir=taken"], "error: hydra.sweep.dir must be a folder without a sweep, got taken"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_anything_runs(main: Main, arguments: list[str], message: str):
    create_sweep(Path("taken"))
    before = Path("taken/sweep.json").read_bytes()
    code, out, err = main("-m", *TINY, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(message)
    assert not Path("all").exists()
    assert Path("taken/sweep.json").read_bytes() == before


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_members_together_give_what_they_give_alone(main: Main, optimizer: str):
    swept = ["loss.style_weight=1,100", "seed=1,2", "content.path=content.png,other.png", f"optimizer={optimizer}"]
    arguments = ["-m", *TINY, "scales=[16,24]", "init=noise", *swept]
    code, _, err = main(*arguments)
    assert code == 0, err
    code, _, err = main(*arguments, "hydra.sweep.dir=together", "hydra/launcher=batched", "hydra.launcher.members=5")
    assert code == 0
    assert "members 0, 1, 2, 3 together" in err
    for number in range(8):
        alone, together = (final(f"{folder}/{number}") for folder in ("all", "together"))
        assert together.keys() == alone.keys()
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
        assert {path.name for path in Path(f"together/{number}").iterdir()} == {
            path.name for path in Path(f"all/{number}").iterdir()
        }


def test_members_of_different_structure_are_not_put_together(main: Main):
    code, _, err = main("-m", *TINY, "network.pooling=max,average", "seed=1,2,3", "hydra/launcher=batched")
    assert (code, statuses()) == (0, ["done"] * 6)
    assert "members 0, 1, 2 together" in err
    assert "members 3, 4, 5 together" in err


@pytest.mark.parametrize("launcher", ["basic", "batched"])
def test_another_weight_is_never_compiled_anew(main: Main, launcher: str, monkeypatch: pytest.MonkeyPatch):
    traces = []
    of_image = objective.TOTAL_VARIATIONS["l2"]
    monkeypatch.setitem(objective.TOTAL_VARIATIONS, "l2", lambda image: traces.append(1) or of_image(image))
    compiled = []
    compile_it = jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda self: compiled.append(1) or compile_it(self))
    counts = []
    for weights in ("1", "1,10,100"):
        jax.clear_caches()
        programs._compile.cache_clear()
        traces.clear()
        compiled.clear()
        arguments = (f"loss.style_weight={weights}", f"hydra/launcher={launcher}", f"hydra.sweep.dir={len(weights)}")
        assert main("-m", *TINY, *arguments)[0] == 0
        counts.append((len(traces), len(compiled)))
    assert counts[0] == counts[1] > (0, 0)


@pytest.mark.parametrize("launcher", ["basic", "batched"])
def test_an_interruption_ends_the_sweep_with_the_pictures_so_far(main: Main, launcher: str, monkeypatch: pytest.MonkeyPatch):
    record = Recorder.__call__
    monkeypatch.setattr(Recorder, "__call__", lambda self, report: record(self, report) or True)
    code, out, _ = main("-m", *TINY, "seed=1,2", f"hydra/launcher={launcher}")
    assert code == 130
    assert statuses() == ["interrupted"] * 2
    assert out.splitlines()[-1].startswith("all: 2 interrupted")
    assert Path("all/0/result.png").exists()


def test_processes_run_the_same_members(main: Main, tmp_path: Path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "nst_jax.run", "-m", *TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    swept = ["loss.style_weight=1,100", "content.path=content.png,missing.png"]
    done = subprocess.run([*command, *swept], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert statuses() == ["done"] * 2 + ["failed"] * 2
    assert done.stdout.splitlines()[-1] == "all: 2 done, 2 failed; see report.html, contact_sheet.png and table.csv" + GO_ON
    assert main("-m", *TINY, "loss.style_weight=1,100", "hydra.sweep.dir=here")[0] == 0
    assert final("all/1")["loss"] == final("here/1")["loss"]


def test_each_member_may_start_from_the_picture_of_the_one_before(main: Main):
    code, _, err = main("-m", *TINY, "init=previous", "style.path=[style.png,other.png]", "style.blend=[1,0],[0,1]")
    assert code == 0, err
    first, second = (SweepFolder(Path("all")).member(number) for number in (0, 1))
    assert "init: recolored" in (first.path / "config.yaml").read_text()
    assert f"init: {first.result}" in (second.path / "config.yaml").read_text()
    code, _, err = main(*TINY[:2], "init=previous")
    assert code == 2
    assert "one by one" in err


def test_the_axes_of_the_sheet_are_the_swept_settings():
    keys = {"a.x": ["1", "2"], "b.y": ["p", "q"], "c.z": ["[r,s]", "[]"]}
    members = [{"overrides": []} for _ in range(8)]
    block = layout({"keys": keys, "members": list(range(8))}, members, [{}] * 8)
    assert block.rows == ["x 1\ny p", "x 1\ny q", "x 2\ny p", "x 2\ny q"]
    assert block.columns == ["z r, s", "z none"]
    assert block.members[2, 1] == 5
    members = [{"overrides": [f"k={i}"]} for i in range(8)]
    block = layout({"keys": {"k": ["0"]}, "members": list(range(1, 8))}, members, [{"loss": 1.0}] * 8)
    assert block.members[1, 0] == 7
    assert block.captions[7] == "7: loss 1\nk 7"
    block = layout({"keys": {"k": ["0"]}, "members": [0]}, members, [{"loss": 1.0, "score": 2.0}])
    assert block.captions[0] == "0: score 2\nk 0"


def test_the_folder_keeps_the_order_of_the_settings_and_the_table_what_is_swept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_jax.sweeps.table._results", lambda *_: {"content": 1.0, "style": 2.0})
    folder, grid = create_sweep(Path("s")), product([("style", ["a", "b"]), ("content", ["c", "d"])])
    folder.add(grid, ["0", "1", "2", "3"])
    assert list(folder.read()["grids"][0]["keys"]) == list(folder.read()["keys"]) == ["style", "content"]
    assert [(row["style"], row["content"]) for row in rows_of(folder)] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]


def test_the_folder_keeps_what_each_member_says():
    folder = create_sweep(Path("s"))
    folder.add(Grid({"seed": ["1", "2"]}, [["seed=1"], ["seed=2"]]), ["0", "1"])
    folder.note(0, "failed", "why")
    folder.add(Grid({"seed": ["3"]}, [["seed=3"]]), ["2"], go_on=True)
    folder.close()
    record = folder.read()
    assert [(m["status"], m["error"]) for m in record["members"]] == [("failed", "why"), *[("interrupted", None)] * 2]
    assert record["grids"] == [{"keys": {"seed": ["1", "2", "3"]}, "members": [0, 1, 2]}]
    with pytest.raises(InputError, match="must be a folder with a sweep"):
        SweepFolder(Path("nowhere")).read()
    Path("s/sweep.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="must be of format 1, got 99"):
        folder.read()
