"""Going on with a sweep: what is done stays, what was cut off ends with the same bytes, what has failed is tried again."""

import shutil
from pathlib import Path

import pytest

from nst_jax.runs.callback import Recorder
from nst_jax.runs.folder import RunFolder
from nst_jax.sweeps.folder import SweepFolder
from tests.test_sweeps import GO_ON, TINY, here, statuses, table

__all__ = ["here"]  # a fixture


def bytes_of(folder: str) -> dict[str, bytes]:
    """The pictures of all members."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).glob("*/result.png"))}


def killed(number: int) -> None:
    """Leaves of a member what `kill -9` leaves in its midst: a run that goes on, without a checkpoint."""
    folder = SweepFolder(Path("all")).member(number)
    folder.result.unlink()
    folder.write_manifest(folder.read_manifest() | {"status": "running"})
    SweepFolder(Path("all")).note(number, "waiting")


def test_a_sweep_goes_on_from_anywhere_with_what_is_not_done(main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert main("-m", *TINY, "seed=1,2,3,4", "init=noise")[0] == 0
    expected = bytes_of("all")
    killed(1)
    shutil.rmtree("all/2")
    SweepFolder(Path("all")).note(2, "waiting")
    before = (tmp_path / "all/0/result.png").stat().st_mtime_ns
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        code, out, err = main("--resume", "../all")
    assert code == 0, err
    assert out.splitlines()[-1] == "all: 4 done; see report.html, contact_sheet.png and table.csv"
    assert "no checkpoint: beginning again" in err
    assert bytes_of("all") == expected
    assert (tmp_path / "all/0/result.png").stat().st_mtime_ns == before
    assert statuses() == ["done"] * 4
    assert [row["seed"] for row in table()] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("launcher", ["basic", "batched"])
def test_after_ctrl_c_it_goes_on_to_what_it_would_have_been(main, launcher: str, monkeypatch: pytest.MonkeyPatch):
    record = Recorder.__call__
    arguments = ("-m", *TINY, "seed=1,2", "init=noise", "run.checkpoint_every_s=0", f"hydra/launcher={launcher}")
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "__call__", lambda self, report: setattr(self, "stop", True) or record(self, report))
        code, out, _ = main(*arguments)
    assert code == 130
    assert out.splitlines()[-1] == "all: 2 interrupted; see report.html, contact_sheet.png and table.csv" + GO_ON
    code, out, err = main("--resume", "all")
    assert code == 0, err
    assert statuses() == ["done"] * 2
    assert main("-m", *TINY, "seed=1,2", "init=noise", "hydra.sweep.dir=unbroken")[0] == 0
    both = [[RunFolder(Path(name, number)).read_metrics()[-1] for number in ("0", "1")] for name in ("all", "unbroken")]
    for gone_on, unbroken in zip(*both, strict=True):
        assert gone_on["step"] == unbroken["step"] == 4
        assert gone_on["loss"] == pytest.approx(unbroken["loss"], rel=1e-4)


def test_what_fails_again_is_told_again_and_what_was_mended_is_done(main):
    pictures = "content.path=content.png,missing.png,broken.png"
    assert main("-m", *TINY, pictures)[0] == 1
    shutil.copy("other.png", "missing.png")
    code, out, err = main("--resume", "all")
    assert code == 1
    assert out.splitlines()[-1] == "all: 2 done, 1 failed; see report.html, contact_sheet.png and table.csv" + GO_ON
    assert err.splitlines()[-1].startswith("error: member 2 of the sweep failed: image broken.png must be a file")
    assert statuses() == ["done", "done", "failed"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"format": 99}', "error: sweep must be of format 1, got 99 in "),
        ("{", "error: sweep must be a folder with a sweep.json, got "),
        ("[]", "error: sweep must be a folder with a sweep.json, got "),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_line(main, record: str, message: str):
    Path("all").mkdir()
    Path("all/sweep.json").write_text(record)
    code, out, err = main("--resume", "all")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(message)
    assert Path("all/sweep.json").read_text() == record
