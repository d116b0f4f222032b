"""`nst-jax`, the one command: pictures and flags become a run, commands go to their modules, mistakes get one line."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nst_jax
from nst_jax import run, weights
from nst_jax.__main__ import main as nst_jax_main
from nst_jax.command import doctor
from nst_jax.command.arguments import COMMANDS
from nst_jax.command.completion import SCRIPTS, words
from nst_jax.images.files import read_image, write_image
from nst_jax.job import compile
from nst_jax.runner import run as runner

QUICK = ("size=24", "scales=[24]", "steps=2", "loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The arguments that `nst_jax.run` was called with, in a folder with pictures."""
    calls: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    monkeypatch.setattr(run, "main", lambda: calls.append(sys.argv[1:]) or 0)
    monkeypatch.setenv("JAX_PLATFORMS", os.environ.get("JAX_PLATFORMS", "cpu"))
    monkeypatch.chdir(tmp_path)
    for name in ("me.jpg", "a b.png", "a=b.png", "photos/one.jpg", "photos/it's, two.PNG", "photos/notes.txt", "none/x.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return calls


@pytest.fixture
def nst(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls `nst-jax` in a folder with two small pictures: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    for name, seed, height in (("me.jpg", 0, 18), ("painting.jpg", 1, 24)):
        write_image(name, np.random.default_rng(seed).random((1, height, 24, 3), np.float32))

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = nst_jax_main(arguments)
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["me.jpg", "starry"], ["content.path=me.jpg", "style=starry"]),
        (["tubingen", "a b.png", "size=64", "-m"], ["content=tubingen", "style.path=a b.png", "size=64", "-m"]),
        (["a=b.png", "starry", "size=64"], ["content.path=a=b.png", "style=starry", "size=64"]),
        (["size=64", "content.path=x.png"], ["size=64", "content.path=x.png"]),
        (["--size", "64", "me.jpg", "steps=3", "starry"], ["content.path=me.jpg", "style=starry", "size=64", "steps=3"]),
        (
            ["me.jpg", "starry", "--preset", "fast", "--colors=match", "--style-scale", "0.5", "--strength=0.7", "--preview"],
            [
                *("content.path=me.jpg", "style=starry", "strength=0.7"),
                *("experiment=fast", "color=match", "style.scale=0.5", "preview=true"),
            ],
        ),
        (["me.jpg", "starry", "--plan", "--cfg", "job"], ["content.path=me.jpg", "style=starry", "--plan", "--cfg", "job"]),
        (["me.jpg", "starry", "--steps", "3"], ["content.path=me.jpg", "style=starry", "--steps", "3"]),
        (
            ["photos", "starry", "--quiet"],
            ["content.path=choice('photos/it\\'s, two.PNG','photos/one.jpg')", "style=starry", "--quiet", "-m"],
        ),
        (["me.jpg", "a b.png", "starry"], ["content.path=choice('me.jpg','a b.png')", "style=starry", "-m"]),
        (["run", "style=starry", "--plan"], ["style=starry", "--plan"]),
        (["sweep", "seed=1,2"], ["-m", "seed=1,2"]),
        (["resume", "some dir"], ["--resume", "some dir"]),
    ],
)
def test_arguments_become_those_of_a_run(ran: list[list[str]], arguments: list[str], settings: list[str]):
    if "--steps" in settings:  # what is no flag is left to the command line of a run, which knows the settings
        settings = [*settings[:2], "--steps", "3"]
    assert nst_jax_main(arguments) == 0
    assert sorted(ran[0]) == sorted(settings)


@pytest.mark.parametrize(
    ("output", "setting"), [("out.webp", "out.webp"), ("made/", "made/"), ("photos", "photos/"), ("~/x.png", "~/x.png")]
)
def test_the_output_is_a_whole_path(ran: list[list[str]], output: str, setting: str):
    assert nst_jax_main(["me.jpg", "starry", "-o", output]) == 0
    assert f"run.output={os.path.abspath(os.path.expanduser(setting))}{'/' * setting.endswith('/')}" in ran[0]


def test_the_device_is_chosen_before_jax_begins(ran: list[list[str]], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "JAX_PLATFORMS", "")
    assert nst_jax_main(["me.jpg", "starry", "--device", "gpu"]) == 0
    assert os.environ["JAX_PLATFORMS"] == "cuda"


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["me.jpeg", "starry"], "did you mean me.jpg?"),
        (["tubigen", "starry"], "did you mean tubingen?"),
        (["me.jpg", "stary"], "did you mean starry?"),
        (["tubingen", "nothing.like.it"], "take a sample: "),
        (["starry", "me.jpg"], "write nst-jax me.jpg starry"),
        (["a b.png", "tubingen"], "write nst-jax tubingen 'a b.png'"),
        (["me.jpg", "photos"], "only PHOTO can be a folder"),
        (["none", "starry"], "name a folder with .jpg or .png files"),
        (["photos", "starry", "-o", "x.png"], "write -o x/"),
        (["me.jpg", "a", "b.png"], "write 'a b.png'"),
        (["me.jpg"], "write nst-jax me.jpg starry"),
        (["https://a.org/b.jpg?c=d", "starry"], "curl -L -o b.jpg 'https://a.org/b.jpg?c=d'"),
        (["me.jpg", "starry", "--size", "big"], "write --size 512"),
        (["me.jpg", "starry", "--style-scale", "big"], "write --style-scale 0.7"),
        (["me.jpg", "starry", "--strength", "big"], "write --strength 0.7"),
        (["me.jpg", "starry", "--sise", "64"], "did you mean --size?"),
        (["weigths", "list"], "did you mean nst-jax weights?"),
        (["--content", "me.jpg", "--style", "starry"], "write nst-jax me.jpg"),
    ],
)
def test_a_mistake_leads_to_the_right_command(
    ran: list[list[str]], arguments: list[str], right: str, capfd: pytest.CaptureFixture[str]
):
    assert nst_jax_main(arguments) == 2
    said = capfd.readouterr().err
    assert right in said
    assert said.count("\n") == 1
    assert not ran


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        (["--preset", "fats"], "did you mean fast?"),
        (["sise=64"], "did you mean size?"),
        (["--steps", "64"], "write steps=64"),
        (["--strength", "5"], "between 0 and 1"),
        (["-o", "x.bmp"], "write x.png"),
        (["-o", "me.jpg"], "choose another name"),
        (["-o", "me.jpg/x.png"], "such as ~/x.png"),
        (["content.path=dot.png"], "use a larger one"),
        (["content.path=x.heic"], "pip install pi-heif"),
        (["--json", "-m", "seed=1,2"], "table.csv"),
    ],
)
def test_a_mistake_is_found_before_the_run_begins(nst, arguments: list[str], right: str, monkeypatch: pytest.MonkeyPatch):
    write_image("dot.png", np.zeros((1, 1, 1, 3), np.float32))
    Path("x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    code, out, err = nst("me.jpg", "painting.jpg", *QUICK, *arguments)
    assert (code, out) == (2, "")
    assert right in err
    assert err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_picture_is_written_where_it_was_asked_for_and_told_as_json(nst):
    code, out, _ = nst("me.jpg", "painting.jpg", *QUICK, "-o", "made/new/out.webp", "--json", "--quiet")
    assert code == 0
    facts = json.loads(out)
    assert facts["result"] == str(Path("made/new/out.webp").absolute())
    assert facts.keys() >= {"losses", "seconds", "steps", "status", "folder"}
    assert facts["losses"].keys() >= {"loss", "content", "style", "tv"}
    assert read_image(facts["result"]).pixels.shape == (1, 18, 24, 3)
    assert nst("resume", facts["folder"], "--json")[0] == 0


def test_a_quiet_run_says_nothing_and_an_inversion_ends_likewise(nst, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr(runner.webbrowser, "open", opened.append)
    assert nst("me.jpg", "painting.jpg", *QUICK, "-o", "x.png", "--quiet", "--open") == (0, "", "")
    assert opened == [Path("x.png").absolute().as_uri()]
    code, out, err = nst("invert", "layer=relu1_1", "content.path=me.jpg", "size=24", "steps=2", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["normalized_error"] > 0


def test_a_folder_becomes_a_folder(nst):
    Path("photos").mkdir()
    for name in ("one.jpg", "it's, two.png"):
        write_image(f"photos/{name}", np.random.default_rng(2).random((1, 18, 24, 3), np.float32))
    assert nst("photos", "painting.jpg", *QUICK, "-o", "made", "--quiet") == (0, "", "")
    assert {file.name for file in Path("made").iterdir()} == {"one.png", "it's, two.png"}


def test_help_names_every_command_and_version_the_version(capsys: pytest.CaptureFixture[str]):
    assert nst_jax_main([]) == nst_jax_main(["--help"]) == nst_jax_main(["--version"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert said.endswith(f"nst-jax {nst_jax.__version__}\n")


def test_a_command_gets_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    monkeypatch.setattr(weights, "main", lambda: 7 if sys.argv[1:] == ["verify", "vgg19"] else 0)
    assert nst_jax_main(["weights", "verify", "vgg19"]) == 7
    assert all(callable(importlib.import_module(f"nst_jax.{command.module}").main) for command in COMMANDS.values())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_completion_scripts_are_of_their_shell(shell: str, capsys: pytest.CaptureFixture[str]):
    assert nst_jax_main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "loss.style_weight=" in script
    assert "experiment=fast" in script
    try:
        checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("nst-jax wei", ["weights"]),
        ("nst-jax a b --siz", ["--size"]),
        ("nst-jax a b experiment=fa", ["fast"]),
        ("nst-jax me", ["me.jpg"]),
    ],
)
def test_bash_completes(line: str, replies: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "me.jpg").touch()
    nst_jax_main(["completion", "bash"])
    script = (
        capsys.readouterr().out
        + f'\nCOMP_LINE="{line}"; COMP_POINT={len(line)}; _nst_jax; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    found = subprocess.run(["bash"], input=script, text=True, capture_output=True, cwd=tmp_path)
    assert found.stdout.split() == replies
    assert len(words()) > 50


def test_the_doctor_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert doctor.main([]) == 0
    said = capsys.readouterr().out
    assert "Try: nst-jax" in said
    assert len(said.splitlines()) < 25  # a screen
    Path("runs").touch()
    monkeypatch.setattr(doctor.store, "path_of", lambda entry: None)
    assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert re.findall(r"^! (\w+)", said, re.MULTILINE) == ["parameters", "results"]


def test_programs_compiled_ahead_are_those_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    write_image("photo.png", np.random.default_rng(0).random((1, 18, 24, 3), np.float32))
    settings = ["size=24", "loss=gatys", "optimizer=adam", "loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]"]
    settings += ["content.path=photo.png", "style.path=photo.png"]
    assert nst_jax_main(["warm", *settings]) == 0
    assert capsys.readouterr().out.startswith("24x18: ")
    made = compile._compile.cache_info().misses
    assert nst_jax_main(["run", *settings, "steps=1", "run.dir=run"]) == 0
    assert compile._compile.cache_info().misses == made
    assert nst_jax_main(["warm", "nonsense=1"]) == 2
