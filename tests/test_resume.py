"""Going on after a kill, a Ctrl-C or a failure: the same bytes; and one line where a run cannot go on."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nst_jax import job
from nst_jax.errors import InputError
from nst_jax.images.files import write_image
from nst_jax.job import history as course
from nst_jax.partition import ExecutionPlan
from nst_jax.runner import kinds
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.lock import run_lock
from tests.sweeping import call

JOB = ["scales=[16,24,32]", "steps=[40,30,20]", "loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]", "init=noise"]
OWN = ["content.path=content.png", "style.path=style.png", *JOB, "run.log_every=7", "run.snapshot_every=25"]


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory):
    """A working folder with two pictures, for all tests of this file."""
    path = tmp_path_factory.mktemp("resume")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("HYDRA_FULL_ERROR", "1")
        generator = np.random.default_rng(0)
        write_image("content.png", generator.random((1, 24, 32, 3), np.float32))
        write_image("style.png", generator.random((1, 24, 24, 3), np.float32))
        yield path


@pytest.fixture(scope="module")
def unbroken(here: Path) -> Path:
    assert call(*OWN, "run.dir=unbroken")[0] == 0
    return here / "unbroken"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nst_jax.run", *arguments]


def record(folder: Path) -> dict[str, object]:
    """What must be the same in two equal runs: pictures by their bytes, the metrics without their seconds, how it ended."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.png")}
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in RunFolder(folder).read_metrics()]
    manifest = RunFolder(folder).read_manifest()
    kept = {path.name for path in folder.iterdir()}
    return files | {"rows": rows, "kept": kept} | {key: manifest[key] for key in ("status", "steps", "inputs")}


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Makes the next job end with `error` once it has made `step` steps, and leaves a checkpoint at every chunk before."""
    transfer = job.transfer

    def broken(*arguments, observe, **options):
        def observed(report: job.StepInfo) -> bool:
            if report.step >= step:
                raise error
            observe.checkpoints.write(report.position(), observe.folder.metrics_bytes())
            return observe(report)

        return transfer(*arguments, observe=observed, **options)

    monkeypatch.setattr(course, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(job, "transfer", broken)


@pytest.mark.parametrize("after", ["the first line", 0.15])
def test_a_killed_run_goes_on_to_the_same_bytes(here: Path, unbroken: Path, after: str | float, running, main):
    name = f"killed-{after}"
    arguments = command(*OWN, f"run.dir={name}", "run.checkpoint_every_s=0.01")
    with running(arguments, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "steps" in process.stderr.readline()  # what will be made
        process.stderr.readline()
        time.sleep(after if isinstance(after, float) else 0)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert RunFolder(here / name).read_manifest()["status"] == "running"
    code, out, err = main("--resume", name)
    assert code == 0
    assert re.fullmatch(rf"{name}/result\.png: loss \S+ after 90 steps, \d+ s\n", out)
    assert re.match(r"going on from step \d+\n|no checkpoint: beginning again\n", err)
    assert record(here / name) == record(unbroken)


def test_an_interrupted_run_has_its_picture_and_goes_on_to_the_same_bytes(here: Path, unbroken: Path, main, running):
    arguments = command(*OWN, "run.dir=stopped", "run.checkpoint_every_s=0")
    with running(arguments, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "steps" in process.stderr.readline()  # what will be made
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    advice = r"^stopped at step (\d+): [^\n]* python -m nst_jax\.run --resume stopped$"
    step = int(re.search(advice, err, re.MULTILINE)[1])  # pyright: ignore[reportOptionalSubscript]
    folder = RunFolder(here / "stopped")
    manifest = folder.read_manifest()
    assert (manifest["status"], manifest["steps"]) == ("interrupted", step)
    assert folder.read_metrics()[-1]["step"] == step
    assert folder.result.exists()
    code, _, err = main("--resume=stopped")
    assert code == 0
    assert err.startswith(f"going on from step {step}\n")
    assert record(here / "stopped") == record(unbroken)


def test_a_run_that_has_finished_is_left_alone(unbroken: Path, main):
    before = record(unbroken)
    code, out, err = main("--resume", "unbroken")
    assert (code, out, err) == (0, "unbroken/result.png: the run has finished already; nothing to do\n", "")
    assert record(unbroken) == before


def test_what_a_run_killed_at_its_end_left_undone_is_done(unbroken: Path, main):
    shutil.copytree(unbroken, "ended")
    Path("ended/report.html").unlink()
    for name in (".nst_jax.lock", ".report.html.1.nst_jax-part"):
        Path("ended", name).touch()
    assert main("--resume", "ended")[0] == 0
    assert {path.name for path in Path("ended").iterdir()} == {path.name for path in unbroken.iterdir()}


def test_a_failure_says_how_to_go_on_and_a_damaged_checkpoint_is_passed_over(unbroken: Path, main, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 60, InputError("disk must be writable, got 'no space left on device'; free some space"))
        code, out, err = main(*OWN, "run.dir=failed")
    assert (code, out) == (2, "")
    line = "error: disk must be writable, got 'no space left on device'; free some space; "
    assert err.splitlines()[-1] == line + "to go on then: python -m nst_jax.run --resume failed"
    manifest = RunFolder(Path("failed")).read_manifest()
    assert manifest["status"] == "failed"
    assert manifest["error"].startswith("InputError: disk must be writable")
    older, newest = sorted(Path("failed/checkpoints").iterdir())
    assert (older.name, newest.name) == ("nst_jax-00000058", "nst_jax-00000059")
    for file in newest.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    code, _, err = main("--resume=failed")
    assert code == 0
    said = err.splitlines()
    assert said[0].startswith("checkpoint of step 59 is damaged (")
    assert said[1] == "going on from step 58"
    assert record(Path("failed")) == record(unbroken)


@pytest.fixture
def broken(main, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A run that failed at its fifth step."""
    path = Path(f"broken-{re.sub(r'[^a-z]', '-', request.node.name)}")
    with monkeypatch.context() as patch:
        stop_at(patch, 5, RuntimeError("struck by lightning"))
        with pytest.raises(RuntimeError, match="struck"):
            main(*OWN, f"run.dir={path}", "run.quiet=true")
    return path


def test_inputs_that_changed_are_told_and_nothing_is_lost(broken: Path, main):
    whole = Path("content.png").read_bytes()
    write_image("content.png", np.zeros((1, 24, 32, 3), np.float32))
    before = {path: path.read_bytes() for path in broken.rglob("*") if path.is_file()}
    code, out, err = main("--resume", str(broken))
    Path("content.png").write_bytes(whole)
    assert (code, out) == (2, "")
    assert re.fullmatch(
        r"error: content must be what the run began with, got content\.png with other contents"
        r" \(sha256 \w{12} has become \w{12}\); restore it, or begin a new run\n",
        err,
    )
    assert {path: path.read_bytes() for path in broken.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("style_weight: 1.0", "style_weight: 100.0", "loss.style_weight"),
        ("- 40", "- 5", "steps"),
        ("seed: 0", "seed: 1", "seed"),
    ],
)
def test_settings_that_changed_are_refused_by_name(broken: Path, main, before: str, after: str, key: str):
    config = broken / "config.yaml"
    config.write_text(config.read_text().replace(before, after, 1))
    assert after in config.read_text()
    kept = {path: path.read_bytes() for path in broken.rglob("*") if path.is_file()}
    code, _, err = main("--resume", str(broken))
    assert (code, err.count("\n")) == (2, 1)
    assert f"{key} went from" in err
    assert {path: path.read_bytes() for path in broken.rglob("*") if path.is_file()} == kept


def test_a_manifest_that_lacks_what_the_run_began_with_is_refused(broken: Path, main):
    whole = json.loads((broken / "manifest.json").read_text())
    for field in ("started", "versions", "device", "settings", "inputs", "params"):
        without = {key: value for key, value in whole.items() if key != field}
        for changed in (without, whole | {field: 5}, without | {field: {"x": {}}}):
            (broken / "manifest.json").write_text(json.dumps(changed))
            code, _, err = main("--resume", str(broken))
            assert (code, err.count("\n")) == (2, 1), err


def test_a_finished_run_with_an_empty_manifest_has_a_summary(unbroken: Path, main, tmp_path: Path):
    folder = shutil.copytree(unbroken, tmp_path / "run")
    (folder / "manifest.json").write_text(json.dumps({"format": 2, "status": "finished"}))
    (folder / "metrics.jsonl").unlink()
    code, out, _ = main("--resume", str(folder), "--json")
    assert (code, json.loads(out)["steps"]) == (0, None)


def test_a_run_is_not_resumed_through_a_link(broken: Path, main, tmp_path: Path):
    shutil.rmtree(broken / "checkpoints")
    (tmp_path / "20240101").mkdir()
    (broken / "checkpoints").symlink_to(tmp_path)
    code, _, err = main("--resume", str(broken))
    assert (code, err.count("\n")) == (2, 1)
    assert "checkpoints" in err
    assert [path.name for path in tmp_path.iterdir()] == ["20240101"]


def test_a_run_goes_on_by_the_plan_of_its_checkpoint(broken: Path, main, monkeypatch: pytest.MonkeyPatch):
    folder = RunFolder(broken)
    manifest = folder.read_manifest()
    plan = manifest.pop("plan")
    folder.write_manifest(manifest)
    monkeypatch.setattr(kinds, "choose_plan", lambda *_, **__: ExecutionPlan("blocks", 64, 1))  # as if memory were short
    assert main("--resume", str(broken))[0] == 0
    assert folder.read_manifest()["plan"] == plan


def test_a_record_imports_no_modules_unasked(broken: Path, main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "strange.py").write_text("raise SystemExit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    config = broken / "config.yaml"
    config.write_text(config.read_text().replace("imports: []", "imports: [strange]"))
    code, _, err = main("--resume", str(broken))
    assert (code, err.count("\n")) == (2, 1)
    assert "--import" in err
    assert main("--resume", str(broken), "--import", "strange")[0] == 7


def test_from_another_directory_the_pictures_are_found(broken: Path, main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    folder = broken.absolute()
    monkeypatch.chdir(tmp_path)
    assert main("--resume", str(folder))[0] == 0
    assert RunFolder(folder).read_manifest()["status"] == "finished"
    moved = shutil.copytree(folder, tmp_path / "moved")
    manifest = RunFolder(moved).read_manifest() | {"status": "failed", "directory": "/no/longer/there"}
    RunFolder(moved).write_manifest(manifest)
    code, out, err = main("--resume", "moved")
    assert (code, out) == (2, "")
    assert err == "error: image content.png must be a file, got no such file; check the path\n"


def test_other_versions_are_told_and_kept(broken: Path, main):
    manifest = RunFolder(broken).read_manifest()
    manifest["versions"]["jax"] = "0.1"
    RunFolder(broken).write_manifest(manifest)
    edited = (broken / "config.yaml").read_text().replace("quiet: true", "quiet: false")
    (broken / "config.yaml").write_text(edited)
    code, _, err = main("--resume", str(broken))
    assert code == 0
    assert re.match(r"since the run began, jax went from 0\.1 to [\d.]+: the picture may differ [^\n]+\n", err)
    assert RunFolder(broken).read_manifest()["notices"] == [err.splitlines()[0]]


def test_one_process_at_a_time_goes_on(broken: Path, main):
    with run_lock(broken):
        code, out, err = main("--resume", str(broken))
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: run folder must have one writer, got {broken}, which another process [^\n]+\n", err)


@pytest.mark.parametrize(
    ("file", "contents", "message"),
    [
        ("config.yaml", None, "run folder must hold a readable config.yaml, got 'no such file or directory' in "),
        ("config.yaml", "", "config.yaml in "),
        ("config.yaml", "a: [", "config.yaml in "),
        ("config.yaml", "stile: starry", "config.yaml in "),
        ("manifest.json", "{", "manifest.json in "),
        ("manifest.json", json.dumps({"format": 99}), "format of manifest.json in "),
        ("manifest.json", json.dumps({"format": 2, "status": "failed"}), "manifest.json in "),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_line(unbroken: Path, main, tmp_path: Path, file, contents, message):
    folder = shutil.copytree(unbroken, tmp_path / "run")
    (folder / file).unlink()
    if contents is not None:
        (folder / file).write_text(contents)
    code, out, err = main("--resume", str(folder))
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(message)}[^\n]+\n", err)


@pytest.mark.parametrize(
    "arguments", [["--resume"], ["--resume", "a", "b"], ["--resume", "a", "seed=1"], ["seed=1", "--resume=a"], ["--resume="]]
)
def test_a_resume_stands_alone(main, arguments: list[str]):
    code, out, err = main(*arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err)
    assert "--resume" in err or "'b'" in err
