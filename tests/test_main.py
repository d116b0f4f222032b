"""`nst-jax`, the one command: pictures and settings become a run, commands go to their modules."""

import sys
from pathlib import Path

import pytest

import nst_jax
from nst_jax import run, weights
from nst_jax.__main__ import COMMANDS, main


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The arguments that `nst_jax.run` was called with, in an empty folder."""
    calls: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    monkeypatch.setattr(run, "main", lambda: calls.append(sys.argv[1:]) or 0)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["me.jpg", "starry"], ["content.path=me.jpg", "style=starry"]),
        (["tubingen", "a b.png", "size=64", "-m"], ["content=tubingen", "style.path=a b.png", "size=64", "-m"]),
        (["a=b.png", "starry", "size=64"], ["content.path=a=b.png", "style=starry", "size=64"]),
        (["size=64", "content.path=x.png"], ["size=64", "content.path=x.png"]),
        (["run", "style=starry", "--plan"], ["style=starry", "--plan"]),
        (["resume", "some dir"], ["--resume", "some dir"]),
    ],
)
def test_arguments_become_those_of_a_run(ran: list[list[str]], arguments: list[str], settings: list[str]):
    Path("a=b.png").touch()
    assert main(arguments) == 0
    assert ran == [settings]


@pytest.mark.parametrize("arguments", [["me.jpg"], ["a.jpg", "b.jpg", "c.jpg"], ["list"]])
def test_another_number_of_pictures_is_refused(ran: list[list[str]], arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    assert " ".join(arguments) in capsys.readouterr().err
    assert not ran


def test_help_names_every_command_and_version_the_version(capsys: pytest.CaptureFixture[str]):
    assert main([]) == main(["--help"]) == main(["--version"]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert said.endswith(f"nst-jax {nst_jax.__version__}\n")


def test_a_command_gets_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["nst-jax"])
    monkeypatch.setattr(weights, "main", lambda: 7 if sys.argv[1:] == ["verify", "vgg19"] else 0)
    assert main(["weights", "verify", "vgg19"]) == 7
