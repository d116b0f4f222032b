"""`python -m nst_jax.runs`: lists, shows and compares run folders, whatever state they are in."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nst_jax.runs.__main__ import main
from nst_jax.runs.folder import FORMAT, RunFolder, create_run_folder
from nst_jax.runs.lock import run_lock
from tests.test_folder import DAMAGE


def leave(path: Path, *, status: str = "finished", style_weight: float = 5.0, shade: float = 0.5, **facts: Any) -> RunFolder:
    """A run folder as a run leaves it."""
    folder = create_run_folder(path, f"size: 24\nloss:\n  style_weight: {style_weight}\nrun:\n  dir: {path}\n")
    row = {"step": 1, "scale": 0, "size": 24, "loss": 3.0, "content": 1.0, "style": 2.0, "tv": 0.0, "seconds": 0.5}
    folder.append_metrics([row, row | {"step": 2, "loss": style_weight}])
    if status == "finished":
        folder.write_result(np.full((1, 16, 24, 3), shade, np.float32), {})
    begun = {"format": FORMAT, "status": status, "started": "2026-11-25T16:00:00+00:00", "versions": {"jax": "0.10.1"}}
    inputs = {
        "content": {"sha256": "c0", "source": "photos/me.jpg"},
        "style": {"source": "starry"},
        "style2": {"source": "scream"},
    }
    folder.write_manifest(begun | {"inputs": inputs} | facts)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_list_says_how_every_run_stands(capsys: pytest.CaptureFixture[str]):
    leave(Path("runs/done"))
    leave(Path("runs/killed"), status="running")
    leave(Path("runs/failed"), status="failed", error="InputError: disk is full")
    leave(Path("sweeps/all/0"), status="interrupted")
    leave(Path("runs/newer"), format=99)
    create_run_folder(Path("runs/begun"), "size: 24\n")
    (leave(Path("runs/damaged")).path / "manifest.json").write_text("{")
    with run_lock(Path("runs/live")):
        leave(Path("runs/live"), status="running")
        runs = {run["folder"]: run for run in told(capsys, "list")}
    statuses = {"done": "finished", "killed": "interrupted", "failed": "failed", "begun": "interrupted", "live": "running"}
    assert {name: runs[f"runs/{name}"]["status"] for name in statuses} == statuses
    assert runs["sweeps/all/0"]["status"] == "interrupted"
    assert (runs["runs/done"]["step"], runs["runs/done"]["loss"], runs["runs/done"]["size"]) == (2, 5.0, 24)
    assert runs["runs/failed"]["error"] == "InputError: disk is full"
    assert "got 99" in runs["runs/newer"]["error"]
    assert "manifest.json" in runs["runs/damaged"]["error"]
    assert (runs["runs/newer"]["status"], runs["runs/damaged"]["status"]) == ("damaged", "damaged")
    assert (runs["runs/done"]["content"], runs["runs/done"]["style"]) == ("me", "starry, scream")
    assert main(["list", "runs"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"2026-11-25 16:00 │ runs/done +│ me +│ starry, scream +│ 24 +│ 2 +│ 5 +│ 0\.5 +│ finished", table)
    assert "sweeps" not in table


def test_a_list_of_nothing_is_empty(capsys: pytest.CaptureFixture[str]):
    assert told(capsys, "list") == []
    assert main(["list"]) == 0


def test_show_says_all(capsys: pytest.CaptureFixture[str]):
    leave(Path("one"))
    facts = told(capsys, "show", "one")
    assert (facts["status"], facts["config"]["size"], facts["last"]["step"]) == ("finished", 24, 2)
    assert facts["manifest"]["versions"] == {"jax": "0.10.1"}
    assert main(["show", "one"]) == 0
    assert re.search(r"config\.loss\.style_weight +│ 5\.0", capsys.readouterr().out)


def test_a_comparison_says_what_differs_and_no_more(capsys: pytest.CaptureFixture[str]):
    leave(Path("one"))
    leave(Path("two"), style_weight=9.0, shade=0.7, versions={"jax": "0.11.2"})
    facts = told(capsys, "compare", "one", "two")
    assert facts["config"] == {"loss.style_weight": [5.0, 9.0]}
    assert facts["facts"] == {"versions.jax": ["0.10.1", "0.11.2"]}
    assert facts["last"]["loss"] == [5.0, 9.0]
    assert facts["last"]["style"] == [2.0, 2.0]
    assert facts["pictures"]["mean"] == pytest.approx(0.2, abs=2 / 255)
    assert facts["pictures"]["psnr"] == pytest.approx(14, abs=0.2)
    assert main(["compare", "one", "two"]) == 0
    assert re.search(r"loss\.style_weight +│ 5\.0 +│ 9\.0", capsys.readouterr().out)
    assert told(capsys, "compare", "one", "one")["pictures"] == {"mean": 0, "largest": 0, "psnr": None}


def test_without_two_pictures_the_rest_is_compared(capsys: pytest.CaptureFixture[str]):
    leave(Path("one"))
    leave(Path("two"), status="failed")
    facts = told(capsys, "compare", "one", "two")
    assert (facts["pictures"], facts["facts"]["status"]) == (None, ["finished", "failed"])
    assert main(["compare", "one", "two"]) == 0


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["show", "nowhere"], "config.yaml"),
        (["compare", "one", "nowhere"], "config.yaml"),
        (["list", "nowhere"], "DIR"),
        (["show", "newer"], "99"),
        (["show", "damaged"], "manifest.json"),
        (["show", "empty"], "config.yaml"),
        (["show", "torn"], "line 1 of metrics.jsonl"),
    ],
)
def test_what_cannot_be_read_is_one_line(arguments: list[str], key: str, capsys: pytest.CaptureFixture[str]):
    leave(Path("one"))
    leave(Path("newer"), format=99)
    (leave(Path("damaged")).path / "manifest.json").write_text("[]")
    (leave(Path("empty")).path / "config.yaml").write_text("")
    (leave(Path("torn")).path / "metrics.jsonl").write_text("{\n")
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"error: [^\n]*{re.escape(key)}[^\n]*\n", said.err)


def test_one_damaged_run_does_not_end_the_list(capsys: pytest.CaptureFixture[str]):
    leave(Path("runs/good"))
    for number, (text, _) in enumerate(DAMAGE):
        (leave(Path(f"runs/{number}")).path / "manifest.json").write_bytes(text)
    leave(Path("runs/row")).append_metrics([{"step": 3, "loss": {}}])
    runs = {run["folder"]: run for run in told(capsys, "list")}
    assert {run["status"] for name, run in runs.items() if name not in ("runs/good", "runs/row")} == {"damaged"}
    assert runs["runs/row"]["step"] == runs["runs/good"]["step"] == 2
    assert main(["list"]) == 0


def test_text_of_a_record_is_neither_markup_nor_a_control_sequence(capsys: pytest.CaptureFixture[str]):
    for name in ("[/bold]", "[red]"):
        leave(Path(name), error="[/bold]\x1b[31m", status="failed", notices=["a\nFAKE: ok\u202e"])
    for arguments in (["list", "."], ["show", "[/bold]"], ["compare", "[/bold]", "[red]"]):
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert "[/bold]" in said
        assert {"\x1b", "\u202e"} & {*said} == set()
        assert "\nFAKE" not in said


def test_a_mistaken_command_line_is_one_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["nothing"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
