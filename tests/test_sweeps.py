"""Sweeps: the record they leave, whichever launcher runs them; members of a batch give what they give alone."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from nst_jax.errors import InputError
from nst_jax.images.files import read_image
from nst_jax.job import compile as programs
from nst_jax.report import __main__ as report
from nst_jax.runs.callback import Recorder
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.lock import is_being_written
from nst_jax.sweeps.figures.contact_sheet import layout
from nst_jax.sweeps.finish import summarize
from nst_jax.sweeps.folder import SweepFolder, create_sweep
from nst_jax.sweeps.grid import Grid, product
from nst_jax.sweeps.launchers import batched
from nst_jax.sweeps.table import read_table
from tests.sweeping import TINY, call, interrupt, last_rows, pictures, statuses, table, write_pictures

Main = Callable[..., tuple[int, str, str]]
# All runs of this file have the programs of this sweep, of which those at 24 pixels are of a run of TINY.
SWEPT = ["init=noise", "size=32", "scales=[24,32]", "loss.style_weight=1e0,1e2", "content.path=choice(content.png, other.png)"]


class Swept(NamedTuple):
    """One sweep, run one member after another in `alone` and in batches in `batched`, and what that printed."""

    folder: Path
    out: str
    err: str
    descriptors: list[int]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("sweeps")
    write_pictures(folder)
    descriptors: list[int] = []
    run_jobs = batched.run_jobs

    def counted(*arguments: Any) -> Any:
        descriptors.append(len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0)
        assert all(is_being_written(path) for path in Path("batched").iterdir() if path.is_dir())
        return run_jobs(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, out, err = call("-m", *TINY, *SWEPT, "hydra.sweep.dir=alone")
        assert code == 0, err
        patch.setattr(batched, "run_jobs", counted)
        before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
        code, _, err = call("-m", *TINY, *SWEPT, "hydra.sweep.dir=batched", "hydra/launcher=batched")
        assert code == 0, err
    return Swept(folder, out, err, [before, *descriptors])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path)
    return tmp_path


@pytest.fixture
def copied(swept: Swept, here: Path) -> Path:
    """A copy of the finished sweep that ran one member after another."""
    return shutil.copytree(swept.folder / "alone", here / "all")


def test_a_sweep_leaves_its_record(swept: Swept):
    folder = swept.folder / "alone"
    assert swept.out.splitlines()[-1].startswith("alone: 4 done; ")
    names = ["0-content", "1-content", "2-other", "3-other"]
    assert {path.name for path in folder.iterdir()} == {
        *(*names, "sweep.json", "table.csv", "contact_sheet.png", "report.html"),  # no front: the pictures differ
    }
    record = json.loads((folder / "sweep.json").read_text())
    assert record["keys"] == {"content.path": ["'content.png'", "'other.png'"], "loss.style_weight": ["1.0", "100.0"]}
    assert [member["folder"] for member in record["members"]] == names
    assert {"loss.style_weight=100.0", "size=32"} < {*record["members"][1]["overrides"]}
    rows, last = table(folder), last_rows(folder)
    assert [row["content.path"] for row in rows] == ["content.png"] * 2 + ["other.png"] * 2
    assert float(rows[1]["style"]) == pytest.approx(100 * float(rows[1]["style_loss"]))
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in last]
    assert [float(row["seconds"]) for row in rows] == [row["seconds"] for row in last]
    assert min(read_image(folder / "contact_sheet.png").pixels.shape[1:3]) > 300
    page = folder / "report.html"
    assert 'href="./0-content/result.png"' in page.read_text("utf-8")  # no page of a member before it is wanted
    copy = shutil.copytree(folder, folder.parent / "looked at")
    assert report.main([str(copy)]) == 0
    assert 'href="./0-content/report.html"' in (copy / "report.html").read_text("utf-8")
    assert all((copy / name / file).exists() for name in names for file in ("report.html", "losses.png"))


def test_members_of_a_batch_give_what_they_give_alone(swept: Swept):
    assert "running members 0, 1, 2, 3 together" in swept.err
    for alone, together in zip(last_rows(swept.folder / "alone"), last_rows(swept.folder / "batched"), strict=True):
        assert together.keys() == alone.keys()
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    for path in (swept.folder / "alone").glob("*/*"):
        assert (swept.folder / "batched" / path.relative_to(swept.folder / "alone")).exists()
    assert not [*(swept.folder / "batched").rglob(".*")]


def test_members_of_a_batch_record_their_plan(swept: Swept):
    (plan,) = {
        json.dumps(RunFolder(path.parent).read_manifest()["plan"]) for path in swept.folder.glob("batched/*/config.yaml")
    }
    assert [scale.keys() for scale in json.loads(plan)] == [{"remat", "tile", "devices"}] * 2


def test_a_batch_takes_no_descriptor_per_member(swept: Swept):
    before, during = swept.descriptors
    assert during - before <= 3


def test_batches_hold_members_of_one_structure(here: Path, monkeypatch: pytest.MonkeyPatch):
    batches: list[list[int]] = []
    monkeypatch.setattr(batched, "_run_batch", lambda sweep, batch, size: batches.append([one.number for one in batch]))
    call("-m", *TINY, "network.pooling=max,average", "seed=1,2,3", "hydra/launcher=batched", "hydra.launcher.members=2")
    assert sorted(batches) == [[0, 1], [2], [3, 4], [5]]


def test_a_batch_that_fails_is_recorded_and_the_others_run(here: Path, monkeypatch: pytest.MonkeyPatch):
    run_jobs, failures = batched.run_jobs, iter([RuntimeError("RESOURCE_EXHAUSTED: out of memory")])

    def fail_once(*arguments: Any) -> Any:
        for error in failures:
            raise error
        return run_jobs(*arguments)

    monkeypatch.setattr(batched, "run_jobs", fail_once)
    code, _, err = call("-m", *TINY, "seed=1,2,3", "hydra/launcher=batched", "hydra.launcher.members=2")
    assert (code, statuses()) == (1, ["failed", "failed", "done"])
    assert "running member 2\n" in err
    assert "RESOURCE_EXHAUSTED" in table()[1]["error"]


def test_a_member_that_fails_is_told_and_the_others_run(here: Path):
    Path("broken.png").write_text("no picture")
    arguments = ("-m", *TINY, "content.path=content.png,broken.png,other.png")
    code, out, err = call(*arguments)
    assert code == 1
    assert "member 1 of the sweep failed" in err
    assert "2 done, 1 failed" in out
    assert "--resume all" in out
    assert "broken.png" in table()[1]["error"]
    code, *_ = call(*arguments, "seed=1,2", "hydra/launcher=batched", "hydra.sweep.dir=b")
    assert (code, statuses("b")) == (1, [*["done"] * 2, *["failed"] * 2, *["done"] * 2])
    shutil.copy("other.png", "broken.png")
    code, out, err = call("--resume", "all")
    assert (code, statuses()) == (0, ["done"] * 3), err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["loss.style_wait=1,2"], ["loss.style_wait"]),
        (["size=24,8"], ["size", "8"]),
        (["loss.style_weight=interval(1,10)"], ["loss.style_weight", "interval"]),
        (["seed=range(1,1)"], ["at least one member"]),
        (["seed=1,2", "hydra.sweep.subdir=x"], ["hydra.sweep.subdir"]),
        (["seed=1,2", "hydra.sweep.dir=taken"], ["hydra.sweep.dir", "report.html"]),
        (["seed=1,2", "hydra.sweep.dir=member"], ["hydra.sweep.dir", "1"]),
        (["seed=1,2", "hydra.job.chdir=true"], ["hydra.job.chdir"]),
        (["seed=1,2", "init=previous", "hydra/launcher=batched"], ["init=previous", "hydra/launcher=batched"]),
        (["content.path=content.png, missing, 1.png"], ["content of member 1", "'missing'", "quotes"]),
        (["style.path=[style.png],[style.png,missing.png]"], ["style2 of member 1", "missing.png"]),
        (["init=content,missing.png"], ["init of member 1", "missing.png"]),
        (["--plan", "experiment=search"], ["--plan", "search"]),
        (["seed=1,2", "run.output=x.png"], ["run.output", "x.png"]),
        (["init=${oc.env:HOME}/a.png,content"], ["setting", "oc.env"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_anything_runs(here: Path, arguments: list[str], parts: list[str]):
    for name in ("taken/report.html", "member/1/thesis.txt"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("mine")
    before = sorted(here.rglob("*"))
    code, out, err = call("-m", *TINY, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert all(part in err for part in parts), err
    assert sorted(here.rglob("*")) == before


def test_a_plan_of_a_sweep_groups_the_members_by_their_programs_and_runs_none(here: Path):
    code, out, _ = call("-m", *TINY, "--plan", "size=24,32", "seed=1,2")
    lines = out.splitlines()
    assert code == 0
    assert [line for line in lines if line.startswith("member")] == ["member 0, 1:", "member 2, 3:"]
    assert [line.split()[:2] for line in lines if "GiB" in line] == [["24", "24x18"], ["32", "32x24"]]
    assert not Path("all").exists()


def test_a_sweep_of_one_member_is_said(here: Path):
    code, _, err = call("-m", *TINY, "steps=1", "hydra.sweep.subdir='${content.path}/../x'", "hydra.sweep.dir=öl (1)")
    assert code == 0
    assert "one member" in err
    assert Path("öl (1)/content.png_.._x/result.png").exists()


@pytest.mark.parametrize("launcher", ["basic", "batched"])
def test_another_weight_is_never_compiled_again(here: Path, launcher: str, compilations: list[str]):
    arguments = ("-m", *TINY, f"hydra/launcher={launcher}")
    assert call(*arguments, "loss.style_weight=1,2,3,4")[0] == 0
    known = programs._compile.cache_info()
    compilations.clear()
    assert call(*arguments, "loss.style_weight=10,100,1000,5", "hydra.sweep.dir=again")[0] == 0
    found = programs._compile.cache_info()
    assert (found.misses, compilations) == (known.misses, [])
    assert found.hits > known.hits


@pytest.mark.parametrize("launcher", ["basic", "batched"])
def test_ctrl_c_leaves_the_pictures_so_far_and_resume_continues_to_the_same(here: Path, launcher: str, swept: Swept):
    record = Recorder.__call__
    arguments = ("-m", *TINY, *SWEPT, f"hydra/launcher={launcher}")
    stopped = lambda self, report: setattr(self, "stop", True) or record(self, report)  # noqa: E731
    with mock.patch.object(Recorder, "__call__", stopped):
        code, out, _ = call(*arguments)
    assert (code, statuses()) == (130, ["interrupted"] * 4)
    assert "--resume all" in out
    assert Path("all/0-content/result.png").exists()
    code, _, err = call("--resume", "all")
    assert (code, statuses()) == (0, ["done"] * 4), err
    for resumed, unbroken in zip(last_rows(), last_rows(swept.folder / "alone"), strict=True):
        assert resumed["step"] == unbroken["step"]
        assert resumed["loss"] == pytest.approx(unbroken["loss"], rel=1e-4)


def test_a_sweep_is_resumed_from_anywhere_with_what_is_not_done(copied: Path, monkeypatch: pytest.MonkeyPatch):
    expected = pictures()
    interrupt("all", 1)
    shutil.rmtree("all/2-other")
    SweepFolder(Path("all")).note(2, "interrupted")
    before = (copied / "0-content/result.png").stat().st_mtime_ns
    (copied.parent / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    code, out, err = call("--resume", "../all")
    assert code == 0, err
    assert "all: 4 done" in out
    assert pictures(copied) == expected
    assert (copied / "0-content/result.png").stat().st_mtime_ns == before


def test_a_resumed_sweep_is_composed_as_it_began(here: Path):
    (here / "own/experiment").mkdir(parents=True)
    preset = here / "own/experiment/mine.yaml"
    preset.write_text("# @package _global_\nloss:\n  style_weight: 7\n")
    shutil.copy("content.png", "gone.png")
    arguments = ("--config-dir", "own", "-m", *TINY, "steps=1", "experiment=mine", "content.path=content.png,gone.png")
    assert call(*arguments)[0] == 0
    shutil.rmtree("all/1-gone")
    SweepFolder(Path("all")).note(1, "interrupted")
    text = preset.read_text()
    preset.write_text(text.replace("7", "8"))
    code, _, err = call("--resume", "all")
    assert (code, err.count("\n")) == (2, 1)
    assert "member 1" in err
    preset.write_text(text)
    shutil.move("own", "away")
    code, _, err = call("--resume", "all")
    assert (code, err.count("\n")) == (2, 1)
    assert "own" in err
    shutil.move("away", "own")
    code, _, err = call("--resume", "all")
    assert code == 0, err
    assert "style_weight: 7" in Path("all/1-gone/config.yaml").read_text()


@pytest.mark.parametrize("search", [None, {"trials": 1, "at_once": 1, "fixed": ["imports=[strange]"], "chosen": {}}])
def test_a_resumed_sweep_imports_no_modules_unasked(here: Path, monkeypatch: pytest.MonkeyPatch, search: Any):
    Path("strange.py").write_text("raise SystemExit(7)")
    monkeypatch.syspath_prepend(here)
    sweep = create_sweep(Path("all"), search=search)
    if search is None:
        sweep.add(Grid({}, [["imports=[strange]"]]), ["0"])
    code, _, err = call("--resume", "all")
    assert (code, err.count("\n")) == (2, 1)
    assert "--import" in err
    assert "strange" not in sys.modules


def test_only_one_process_runs_a_sweep(copied: Path):
    with SweepFolder(copied).running():
        code, _, err = call("--resume", "all")
    assert (code, err.count("\n")) == (2, 1)


def test_processes_run_the_same_members(here: Path, swept: Swept):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    command = [sys.executable, "-m", "nst_jax.run", "-m", *TINY, *SWEPT, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert statuses() == ["done"] * 4
    assert [row["loss"] for row in last_rows()] == [row["loss"] for row in last_rows(swept.folder / "alone")]


def test_each_member_may_start_from_the_result_of_the_one_before(here: Path):
    simple = ("loss=gatys", "optimizer=adam", "steps=1")
    styles = ("style.path=[style.png,other.png]", "style.blend=[1,0],[0,1]")
    code, _, err = call("-m", *TINY, *simple, *styles, "init=previous")
    assert code == 0, err
    first, second = (SweepFolder(Path("all")).member(number) for number in (0, 1))
    assert "init: recolored" in first.read_config()
    assert f"init: {first.result}" in second.read_config()
    code, _, err = call(*TINY[:2], "init=previous")
    assert (code, err.count("\n")) == (2, 1)


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


def test_a_swept_group_goes_before_the_term_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_jax.sweeps.table._results", lambda *_: {"content": 1.0, "style": 2.0})
    folder, grid = create_sweep(tmp_path / "s"), product([("style", ["a", "b"]), ("content", ["c", "d"])])
    folder.add(grid, ["0", "1", "2", "3"])
    assert list(folder.read()["grids"][0]["keys"]) == list(folder.read()["keys"]) == ["style", "content"]
    rows = read_table(folder).rows
    assert [(row["style"], row["content"]) for row in rows] == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")]


def test_presets_of_the_loss_can_be_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nst_jax.sweeps.table._results", lambda *_: {"loss": 1.0, "style": 2.0})
    folder = create_sweep(tmp_path / "s")
    folder.add(product([("loss", ["gatys", "texture"])]), ["0", "1"])
    assert "s: 2 waiting" in summarize(folder)
    assert "gatys" in (folder.path / "report.html").read_text("utf-8")


def test_the_folder_keeps_the_status_of_each_member(tmp_path: Path):
    folder = create_sweep(tmp_path / "s")
    folder.add(Grid({"seed": ["1", "2"]}, [["seed=1"], ["seed=2"]]), ["0", "1"])
    folder.note(0, "failed", "why")
    folder.add(Grid({"seed": ["3"]}, [["seed=3"]]), ["2"], same_grid=True)
    folder.close()
    record = folder.read()
    assert [(m["status"], m["error"]) for m in record["members"]] == [("failed", "why"), *[("interrupted", None)] * 2]
    assert record["grids"] == [{"keys": {"seed": ["1", "2", "3"]}, "members": [0, 1, 2]}]
    with pytest.raises(InputError, match=r"sweep\.json.*nowhere"):
        SweepFolder(tmp_path / "nowhere").read()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 2', '"format": 99'),
        ('"folder": "1"', '"folder": "../1"'),
        ('"folder": "1"', '"folder": ".."'),
        ('"folder": "1"', '"folder": "/etc"'),
        ('"folder": "1"', '"folder": "javascript:alert(1)"'),
        ('"folder": "1"', '"folder": "table.csv"'),
        ('"folder": "1"', '"folder": "0"'),
        ('"folder": "1"', '"folder": "link"'),
        ('"folder": "1"', '"folder": 5'),
        ('"seed=2"', '"seed=${oc.env:HOME}"'),
        ('"seed=2"', '"seed=${oc.${color}:HOME}"'),
        ('"members": [0, 1]', '"members": [0, 7]'),
        ('"grids": [', '"grids": 5, "x": ['),
        ('"keys": {"seed"', '"keys": {"member"'),
        ('"status": "waiting"', '"status": {}'),
        ('"search": null', '"search": {"trials": "x"}'),
        ('{"format"', "[" * 10_000),
        ("}", ""),
    ],
)
def test_a_damaged_or_hostile_record_is_one_line(tmp_path: Path, old: str, new: str):
    folder = create_sweep(tmp_path / "s")
    folder.add(Grid({"seed": ["1", "2"]}, [["seed=1"], ["seed=2"]]), ["0", "1"])
    (folder.path / "link").symlink_to(tmp_path)
    text = folder.record.read_text()
    assert old in text
    folder.record.write_text(text.replace(old, new))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as caught:
        folder.read()
    assert "\n" not in str(caught.value)
    code, out, err = call("--resume", str(folder.path))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert sorted(tmp_path.rglob("*")) == before
