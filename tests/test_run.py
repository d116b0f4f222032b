"""The command line: the whole record, the same bytes again, one line for a mistake, and an end by Ctrl-C."""

import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from nst_jax.config.compose import make_config
from nst_jax.images.files import read_image, read_text, write_image
from nst_jax.networks.params import store as weights
from nst_jax.runner import prepare
from nst_jax.runner import run as perform
from nst_jax.runs.folder import RunFolder
from nst_jax.runs.manifest import CONFIG_TEXT, PROVENANCE_TEXT
from nst_jax.sweeps import member
from nst_jax.system import cli as command_line

TINY = ["size=24", "steps=5", "loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two pictures; nothing is fetched, nothing kept beyond the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NST_JAX_IMAGES", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(member, "use_compilation_cache", lambda: None)
    prepare._named.cache_clear()
    generator = np.random.default_rng(0)
    write_image("mañana (1).png", generator.random((1, 24, 32, 3), np.float32))
    write_image("style.png", generator.random((1, 24, 24, 3), np.float32))
    return tmp_path


OWN = ["content.path=mañana (1).png", "style.path=style.png", *TINY]


def test_a_run_leaves_its_whole_record(main):
    code, out, err = main(*OWN, "run.dir=one", "run.snapshot_every=2", "run.log_every=3", "seed=7")
    assert code == 0
    assert re.fullmatch(r"one/result\.png: loss \S+ after 5 steps, \d+ s\n", out)
    assert err.splitlines()[-1].startswith("step 5 of 5 at 24 px: loss ")
    files = {str(path.relative_to("one")) for path in Path("one").rglob("*") if path.is_file()}
    assert files == {
        *("result.png", "config.yaml", "metrics.jsonl", "manifest.json", "losses.png", "report.html"),
        *("inputs/content.jpg", "inputs/style.jpg", "snapshots/step-000002.png", "snapshots/step-000004.png"),
    }
    folder = RunFolder(Path("one"))
    rows = folder.read_metrics()
    assert [row["step"] for row in rows] == [1, 3, 5]
    assert rows[0].keys() >= {"step", "scale", "size", "loss", "content", "style", "tv", "seconds"}
    config = yaml.safe_load(folder.read_config())
    assert (config["seed"], config["size"], config["run"]["dir"]) == (7, 24, "one")
    assert read_image("one/result.png").pixels.shape == (1, 18, 24, 3)
    manifest = folder.read_manifest()
    assert manifest["inputs"]["content"] == {"source": "mañana (1).png", "sha256": read_image("mañana (1).png").sha256}
    assert manifest["params"] == {"name": "vgg19", "sha256": weights.file_sha256("vgg19")}
    assert manifest["seconds"].keys() == {"compile", "steps", "total"}
    assert (manifest["seed"], manifest["recoveries"], manifest["notices"]) == (7, 0, [])


@pytest.mark.skipif(sys.platform != "linux", reason="names are text")
def test_names_that_are_not_utf_8_run_to_the_end(main):
    picture, folder = os.fsdecode(b"a\xff.png"), os.fsdecode(b"x\xff")
    os.rename("style.png", picture)
    code, out, err = main("content.path=mañana (1).png", f"style.path={picture}", *TINY, f"run.dir={folder}")
    assert (code, err.count("Traceback")) == (0, 0), err
    assert "result.png: loss" in out
    assert (Path(folder) / "report.html").exists()
    assert main("--resume", folder)[0] == 0


def test_two_runs_give_the_same_bytes_with_the_record_inside(main):
    for folder in ("one", "two"):
        assert main(*OWN, f"run.dir={folder}", "init=noise", "run.quiet=true") == (0, "", "")
    assert Path("one/result.png").read_bytes() == Path("two/result.png").read_bytes()
    text = read_text("one/result.png")
    config = yaml.safe_load(Path("one/config.yaml").read_text())
    del config["run"]
    assert yaml.safe_load(text[CONFIG_TEXT]) == config
    facts = json.loads(text[PROVENANCE_TEXT])
    assert facts["inputs"]["style"] == read_image("style.png").sha256
    main(*OWN, "run.dir=three", "init=noise", "seed=1", "run.quiet=true")
    assert Path("three/result.png").read_bytes() != Path("one/result.png").read_bytes()


def test_without_run_dir_the_folder_is_named_after_the_time(main):
    _, out, _ = main(*OWN, "steps=1")
    assert re.match(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d/result\.png", out)
    assert Path(out.split(":")[0]).is_file()


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch, here: Path):
    monkeypatch.setattr(time, "strftime", lambda form: "runs/now")
    with ThreadPoolExecutor(10) as pool:
        folders = {*pool.map(perform._folder, [None] * 10)}
    assert len(folders) == 10
    assert all(folder.is_dir() and folder.parent == Path("runs") for folder in folders)


def test_a_tilde_is_the_home_folder(main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (home := tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(home))
    Path("style.png").rename(home / "style.png")
    assert main(*OWN, "style.path=~/style.png", "run.dir=~/out", "run.quiet=true")[0] == 0
    assert (home / "out/result.png").exists()
    assert main("--resume", "~/out")[0] == 0
    assert not Path("~").exists()


def test_a_plan_says_what_each_scale_takes_and_runs_nothing(main):
    code, out, _ = main(*OWN[:2], *TINY[2:], "scales=[24,32]", "steps=[3,2]", "--plan", "scale.tile=64")
    rows = [line.split() for line in out.splitlines()[:3]]
    assert code == 0
    assert [row[0] for row in rows] == ["scale", "24", "32"]
    assert [(row[2], row[3]) for row in rows[1:]] == [("3", "1"), ("2", "1")]
    assert all("GiB" in row for row in rows[1:])
    assert not Path("runs").exists()


def test_small_pictures_are_said(here: Path):
    files = {"content": {"path": "mañana (1).png"}, "style": {"path": "style.png", "scale": 2}}
    loss = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}
    notices = [prepare.prepare(make_config({**files, "size": size, "loss": loss})).begun["notices"] for size in (16, 32, 48)]
    assert [[notice.partition(":")[0] for notice in said] for said in notices] == [["style"], ["style"], ["content", "style"]]
    single = prepare.prepare(make_config({**files, "style": {"path": "style.png"}, "size": 32, "loss": loss}))
    assert single.begun["notices"] == []


def test_a_notice_is_said_once_and_kept(main, monkeypatch: pytest.MonkeyPatch):
    notice = "a drawing takes the photograph's place"

    def find(name: str):
        logging.getLogger("nst_jax.images.named").info(notice)
        return replace(read_image("style.png"), source=name, notices=(notice,))

    monkeypatch.setattr(prepare, "find_image", find)
    code, _, err = main(*TINY, "style.path=style.png", "content=tubingen", "run.dir=one", "steps=1")
    assert (code, err.count(notice)) == (0, 1)
    assert RunFolder(Path("one")).read_manifest()["notices"] == [f"content: {notice}"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["style=monet"], "style must be one of "),
        (["stile=starry"], "key must be one that the config has, got 'stile'; did you mean style?"),
        (["+stepz=1"], "key must be one that the config has, got 'stepz'; did you mean steps?"),
        (["size"], "arguments must be KEY=VALUE, got 'size'; write size=VALUE"),
        (["=3"], "arguments must be KEY=VALUE, got '=3'"),
        (["size=${nothing}"], "Interpolation key 'nothing' not found"),
        (["--content", "me.jpg", "--style", "p.jpg"], "arguments must be KEY=VALUE, got '--content me.jpg --style p.jpg'"),
        (["me.jpg", "p.jpg"], "arguments must be KEY=VALUE, got 'me.jpg p.jpg'; write content.path=me.jpg style.path=p.jpg"),
        (["-content_image", "x.jpg"], "arguments must be KEY=VALUE, got '-content_image x.jpg'; write content.path=x.jpg"),
        (["--multirum", "seed=1"], "arguments must be KEY=VALUE, got '--multirum'; write --multirun"),
        (["experiment=fasst"], "experiment must be one of "),
        (["loss=[gatys,paper]"], "loss must be one of gatys, neighbors, paper, wasserstein, got '[gatys,paper]'"),
        (["hydra.job.chdir=true"], "hydra.job.chdir must be false, got 'true'"),
        (["seed=1,2"], "several values must come with -m, got seed=1,2"),
        (["content.path=https://a.org/b.jpg"], "content.path must be a file on this machine"),
        (["--config-dir=broken", "experiment=broken"], "config "),
        (["--import", "no_such_module"], "imports must be modules that Python finds, got 'no_such_module'"),
        (["size=8"], "size must be at least 16, got 8"),
        (["seed=one"], "seed must be a whole number, got 'one'"),
        (["content.path=nowhere.jpg"], "image nowhere.jpg must be a file, got no such file; check the path"),
        (["content.path=~tilde.png"], "image ~tilde.png must be a file, got no such file"),
        (["content.path=."], "image . must be a file, got a folder; give one picture of it, or all in a sweep: -m "),
        (["size=60000"], "size must give a picture that fits into memory, got 60000, which is 60000x"),
        (["size=60000", "--plan"], "size must give a picture that fits into memory, got 60000, which is 60000x"),
        (
            ["size=16", "content.path=wide.png"],
            "size must give a picture of at least 16 pixels on each side, got 16, which is ",
        ),
        (["--cfg", "job", "--package", "nope"], "--package must be a section of the config, got 'nope'"),
        (["init=random"], "init must be one of recolored, content, style, noise, adain, or a picture; got 'random'"),
        (["init=nothing.png"], "image nothing.png must be a file, got no such file; check the path"),
        (["run.dir=taken"], "run.dir must be "),
        (["content.path=narrow.png", "loss.content_layers=[relu4_2]"], "content must be at least "),
        (["network.name=vgg9"], "parameters must be one of "),
        (["-m", "size=24,8"], "size must be at least 16, got 8"),
        (["-m", "run.dir=x", "seed=1,2"], "run.dir must not be set with -m"),
        (["-m", "scale.hosts=auto", "seed=1,2"], "scale.hosts must be off with -m, got 'auto'"),
        (["run.output=style.png"], "run.output must be a new file or an earlier result, got style.png"),
        (["run.dir=one", "run.output=one/losses.png"], "run.output must be no file that the run itself writes"),
        (["run.output=narrow.png"], "run.output must be a new file or an earlier result, got narrow.png"),
        (["scale.hosts=auto"], "scale.hosts=auto must be started by srun, or with MASTER_ADDR"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(main, arguments: list[str], message: str):
    Path("taken").mkdir()
    Path("taken/result.png").write_text("precious")
    write_image("narrow.png", np.zeros((1, 16, 400, 3), np.float32))
    write_image("wide.png", np.zeros((1, 48, 64, 3), np.float32))
    Path("broken/experiment").mkdir(parents=True)
    Path("broken/experiment/broken.yaml").write_text("a: b: c\n\t- d")
    before = {path for path in Path().rglob("*") if path.is_file()}
    code, out, err = main(*OWN, *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(message)}[^\n]+\n|error: {re.escape(message)}\n", err)
    after = {path for path in Path().rglob("*") if path.is_file()}
    assert after == before
    assert Path("taken/result.png").read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_one_line_and_no_half_result(main, monkeypatch: pytest.MonkeyPatch):
    def create_on_a_full_disk(path, config):
        folder = create(path, config)
        (folder.path / "metrics.jsonl").symlink_to("/dev/full")
        return folder

    create = perform.create_run_folder
    monkeypatch.setattr(perform, "create_run_folder", create_on_a_full_disk)
    code, out, err = main(*OWN, "run.dir=one")
    assert (code, out) == (2, "")
    first, error = err.splitlines()
    assert "5 steps" in first
    assert error.startswith("error: one/metrics.jsonl must be writable, got 'no space left on device'")
    left = {path.name for path in Path("one").iterdir()}
    assert left == {"config.yaml", "inputs", "manifest.json", "metrics.jsonl", "report.html"}


def test_a_sweep_makes_one_folder_a_member(main):
    code, out, _ = main("-m", *OWN, "steps=1", "seed=3,4", "init=noise", "hydra.sweep.dir=all")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["all/0/result.png", "all/1/result.png", "all"]
    assert [RunFolder(Path("all") / str(number)).read_manifest()["seed"] for number in (0, 1)] == [3, 4]


def test_help_reads_like_a_manual(main):
    code, out, err = main("--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("nst_jax: ")
    assert max(map(len, lines)) <= 128
    assert "$" not in out
    assert all(word in out for word in ("loss.style_weight=", "run.dir=", "style: ", "starry", "Exit code", "-m "))


def test_the_config_is_shown_without_running(main):
    code, out, _ = main("--cfg", "job", "size=24", "optimizer=adam")
    assert code == 0
    config = yaml.safe_load(out)
    assert (config["size"], config["optimizer"]["name"]) == (24, "adam")
    assert not Path("runs").exists()


def test_ctrl_c_ends_with_the_picture_so_far(here: Path, running):
    command = [sys.executable, "-m", "nst_jax.run", *OWN, "steps=1000000", "run.dir=one", "optimizer=adam"]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "24x18 pixels, 1000000 steps" in process.stderr.readline()
        assert process.stderr.readline().startswith("step 1 of 1000000 at 24 px")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert re.search(r"^stopped at step \d+: [^\n]*\d+ px; to resume: ", err, re.MULTILINE)
    steps = int(re.search(r"after (\d+) steps", out)[1])  # pyright: ignore[reportOptionalSubscript]
    folder = RunFolder(here / "one")
    assert 1 <= folder.read_metrics()[-1]["step"] == steps < 1000000
    assert read_image(folder.result).pixels.shape == (1, 18, 24, 3)
    assert folder.read_manifest()["inputs"].keys() == {"content", "style"}


def test_ctrl_c_before_the_work_begins_ends_at_once_and_later_is_told():
    begun = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line.end_at_interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert command_line.run_cli(lambda: signal.raise_signal(signal.SIGINT)) == 130  # pyright: ignore[reportArgumentType]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup does
        command_line.end_at_interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, begun)


def test_streams_that_fail_cost_no_picture_and_no_traceback(here: Path):
    """A reader that goes away, a closed standard error, letters that the encoding does not have; a full device is said."""
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "nst_jax.run", *OWN, "steps=1"]
    shell = f"{shlex.join([*command, 'run.dir=one'])} 2>&- | head -c 0"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_image("one/result.png").pixels.shape == (1, 18, 24, 3)
    full = subprocess.run(
        ["bash", "-c", f"{shlex.join([*command[:3], '--version'])} >/dev/full"], capture_output=True, text=True
    )
    assert full.returncode == 1
    assert full.stderr.startswith("error: standard output must be writable")
    assert full.stderr.count("\n") == 1


def test_help_loads_no_jax_and_packages_of_command_lines_neither():
    code = (
        "import sys; sys.argv = ['run', '--help']; from nst_jax import run; run.main(); print({'jax', 'PIL'} & {*sys.modules});"
        "from nst_jax import evaluate, invert, report, runs, studio, video; print({'jax'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\nset()\n")


@pytest.mark.parametrize("name", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME", "JAX_ENABLE_X64"])
def test_a_platform_or_flag_that_is_not_there_is_one_line(name: str):
    environment = os.environ | {name: "cpuu"}
    done = subprocess.run([sys.executable, "-m", "nst_jax.run", *OWN], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: ")
    assert name in done.stderr
