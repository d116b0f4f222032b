"""One run, one folder: the claim, whole files, strict JSON, and what is told when the disk or a file is bad."""

import contextlib
import itertools
import json
import multiprocessing
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nst_jax.errors import InputError
from nst_jax.images.files import read_image, read_text
from nst_jax.runs.folder import FORMAT, RUN_FILES, RunFolder, create_run_folder
from nst_jax.runs.lock import is_being_written, run_lock
from nst_jax.system.records import parse_yaml, strict_json


def _row(step: int = 1, **changes: object) -> dict[str, object]:
    row = {"step": step, "scale": 0, "size": 64, "loss": 3.0, "content": 1.0, "style": 2.0, "tv": 0.0, "seconds": 0.5}
    return row | changes


def _picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 20, 24, 3), np.float32)


def _strictly(text: str) -> object:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return create_run_folder(tmp_path / "run", "seed: 0\n")


def test_a_new_folder_holds_its_config_and_nothing_else(tmp_path: Path):
    folder = create_run_folder(tmp_path / "deep" / "er" / "run", "style: Nacht über der Rhône\n")
    assert [file.name for file in folder.path.iterdir()] == ["config.yaml"]
    assert folder.read_config() == "style: Nacht über der Rhône\n"


def test_an_existing_folder_without_a_run_is_taken(tmp_path: Path):
    (tmp_path / "holiday.jpg").touch()
    assert create_run_folder(str(tmp_path), "").path == tmp_path


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("how", ["file", "folder", "dangling link"])
def test_a_folder_with_a_name_that_a_run_writes_is_refused_and_left_as_it_was(tmp_path: Path, name: str, how: str):
    if how == "file":
        (tmp_path / name).write_text("precious")
    elif how == "folder":
        (tmp_path / name / "mine").mkdir(parents=True)
    else:
        (tmp_path / name).symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"^run\.dir must [^\n]*{name}"):
        create_run_folder(tmp_path, "new")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", "snapshots/step-000003.png", "manifest.json"])
def test_a_run_is_not_taken_up_again_through_a_link(folder: RunFolder, tmp_path: Path, name: str):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    (folder.path / name).parent.mkdir(exist_ok=True)
    (folder.path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match=rf"^{name} must [^\n]*link"):
        folder.reopen()
    assert (tmp_path / "mine" / "precious").exists()


def test_a_run_begins_in_the_folder_where_a_killed_one_had_no_config_yet(tmp_path: Path):
    (tmp_path / ".config.yaml.1.nst_jax-part").touch()
    create_run_folder(tmp_path, "seed: 0\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(folder: RunFolder):
    for name in (".result.png.123.nst_jax-part", "inputs/.content.jpg.7.nst_jax-part", ".hidden.123.part", "notes.txt"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).touch()
    folder.reopen()
    assert {file.name for file in folder.path.iterdir()} == {"config.yaml", "inputs", ".hidden.123.part", "notes.txt"}
    assert list((folder.path / "inputs").iterdir()) == []


def _claim(root: Path, start: Any, owner: int, wins: Any) -> None:
    for number in range(50):
        start.wait()
        with contextlib.suppress(InputError), run_lock(root / str(number)):
            create_run_folder(root / str(number), f"owner: {owner}\n")
            wins.put((number, owner))


def test_of_many_processes_one_gets_each_folder(tmp_path: Path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nst_jax.runs.folder"])
    start, wins = context.Barrier(4), context.SimpleQueue()
    processes = [context.Process(target=_claim, args=(tmp_path, start, owner, wins)) for owner in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    owners = [wins.get() for _ in iter(wins.empty, True)]
    assert sorted(number for number, _ in owners) == list(range(50))
    assert all((tmp_path / str(number) / "config.yaml").read_text() == f"owner: {owner}\n" for number, owner in owners)


@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path, below: str):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^[^\n]*must be writable, got '[^\n]*; [^\n]*$"):
        create_run_folder(tmp_path / "file" / below, "")


def test_a_config_that_cannot_be_written_gives_the_claim_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "open", _disk_full)
    with pytest.raises(InputError, match="no space left on device"):
        create_run_folder(tmp_path, "seed: 0\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_has_one_writer_while_that_one_lives(tmp_path: Path):
    path = tmp_path / "run"
    assert not is_being_written(path)
    with run_lock(path):
        assert is_being_written(path)
        with pytest.raises(InputError, match=r"^run folder must have one writer, got [^\n]+$"), run_lock(path):
            pass
        assert is_being_written(path)
    assert not is_being_written(path)
    (path / ".nst_jax.lock").touch()  # as a killed process leaves it
    assert not is_being_written(path)
    with run_lock(path):
        assert is_being_written(path)
    assert list(path.iterdir()) == []


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".nst_jax.lock").symlink_to(tmp_path / "precious")
    is_being_written(tmp_path)
    with pytest.raises(InputError), run_lock(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_folder_that_cannot_be_locked_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^[^\n]*must be writable[^\n]*$"), run_lock(tmp_path / "file" / "run"):
        pass


def _disk_full(*_args: object, **_options: object) -> None:
    raise OSError(28, "No space left on device")


def test_metrics_come_back_in_order_with_every_term(folder: RunFolder):
    folder.append_metrics([_row(1) | {"extra": 7}, _row(2)])
    folder.append_metrics([_row(3)])
    rows = folder.read_metrics()
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[0] == _row(1) | {"extra": 7}


def test_metrics_take_numpy_scalars_and_write_what_is_not_finite_as_null(folder: RunFolder):
    folder.append_metrics([_row(np.int32(5), loss=np.float32("nan"), style=float("inf"), content=np.float32(0.5))])  # pyright: ignore[reportArgumentType]
    (line,) = (folder.path / "metrics.jsonl").read_text().splitlines()
    assert _strictly(line) == _row(5, loss=None, style=None, content=0.5)


def test_rows_are_taken_back_to_a_length(folder: RunFolder):
    assert folder.metrics_bytes() == 0
    length = folder.append_metrics([_row(1), _row(2)])
    assert folder.append_metrics([_row(3)]) == folder.metrics_bytes() > length
    folder.cut_metrics(length)
    assert [row["step"] for row in folder.read_metrics()] == [1, 2]
    folder.append_metrics([_row(3)])
    assert [row["step"] for row in folder.read_metrics()] == [1, 2, 3]


def test_a_log_cut_anywhere_gives_exactly_its_whole_rows(folder: RunFolder):
    folder.append_metrics([_row(1), _row(2)])
    file = folder.path / "metrics.jsonl"
    whole = file.read_bytes()
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        assert len(folder.read_metrics()) == whole[:length].count(b"\n")


def test_a_damaged_row_in_the_middle_is_told(folder: RunFolder):
    folder.append_metrics([_row(1)])
    with (folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"ste\n')
    folder.append_metrics([_row(3)])
    with pytest.raises(InputError, match=r"^line 2 of metrics\.jsonl"):
        folder.read_metrics()


def test_snapshots_are_listed_by_step(folder: RunFolder):
    assert folder.snapshots == {}
    for step in (100, 20, 1_000_000):
        folder.write_snapshot(step, _picture(step))
    names = [file.name for file in folder.snapshots.values()]
    assert names == ["step-000020.png", "step-000100.png", "step-1000000.png"]
    assert list(folder.snapshots) == [20, 100, 1_000_000]
    assert np.abs(read_image(folder.snapshots[20]).pixels - _picture(20)).max() <= 0.51 / 255


def test_the_result_carries_its_text(folder: RunFolder):
    text = {"nst_jax config": "style:\n  path: Nacht über der Rhône.jpg\n"}
    path = folder.write_result(_picture(), text)
    assert path == folder.result
    assert read_text(path) == text
    assert read_image(path).pixels.shape == (1, 20, 24, 3)


def test_the_manifest_comes_back_and_is_replaced_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
    folder.write_manifest({"format": FORMAT, "status": "failed", "a": {"where": Path("x"), "nan": float("nan")}})
    text = (folder.path / "manifest.json").read_text()
    assert text == '{\n  "a": {\n    "nan": null,\n    "where": "x"\n  },\n  "format": 2,\n  "status": "failed"\n}\n'
    monkeypatch.setattr(os, "replace", _disk_full)
    monkeypatch.setattr(Path, "replace", _disk_full)
    with pytest.raises(InputError, match="no space left on device"):
        folder.write_manifest({"format": FORMAT})
    assert folder.read_manifest() == {"a": {"nan": None, "where": "x"}, "format": FORMAT, "status": "failed"}
    assert {file.name for file in folder.path.iterdir()} == {"config.yaml", "manifest.json"}


def test_a_full_disk_stops_the_log_with_one_line(folder: RunFolder):
    (folder.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"^\S+metrics\.jsonl must be writable, got 'no space left on device'; [^\n]+$"):
        folder.append_metrics([_row()])


@pytest.mark.parametrize("read", [RunFolder.read_config, RunFolder.read_metrics, RunFolder.read_manifest])
def test_reading_what_is_not_there_names_the_folder(tmp_path: Path, read):
    with pytest.raises(InputError, match=f"got 'no such file or directory' in {re.escape(str(tmp_path))}; give"):
        read(RunFolder(tmp_path))


# Fields of other types, and texts that are no manifest; with the word that the message must hold.
FIELDS: dict[str, Any] = {
    "inputs": {"content": 1}, "versions": 5, "seconds": {"total": "x"}, "device": "cpu", "git": [], "params": 1, "notices": "x",
    "command": 1, "started": 5, "peak_memory_bytes": {"host": -1}, "directory": {}, "error": 7, "status": "odd",
}  # fmt: skip
DAMAGE = [
    *((b"\x00\xff", "JSON"), (b"[" * 100_000, "JSON"), (b"[]", "object"), (b'{"format": true}', "format")),
    *((b'{"format": 2}', "status"), (b'{"format": 2, "status": "failed", "seconds": {"a": 1e999}}', "seconds")),
    (b'{"format": 2, "status": "failed", "error": "\\ud800"}', "JSON"),
    *((json.dumps({"format": 2, "status": "failed", key: value}).encode(), key) for key, value in FIELDS.items()),
]


@pytest.mark.parametrize(("text", "key"), DAMAGE)
def test_a_damaged_manifest_is_one_line_that_names_the_field(folder: RunFolder, text: bytes, key: str):
    (folder.path / "manifest.json").write_bytes(text)
    with pytest.raises(InputError, match=rf"^[^\n]*{key}[^\n]*$"):
        folder.read_manifest()


@pytest.mark.parametrize("row", [{"loss": "x"}, {"loss": {}}, {"step": ""}, {"size": 1.5}, {"seconds": -1}, {"tv": [1]}])
def test_a_row_of_other_types_is_damaged(folder: RunFolder, row: dict[str, object]):
    folder.append_metrics([_row(1), _row(2) | row])
    assert [row["step"] for row in folder.salvage_metrics()[0]] == [1]
    with pytest.raises(InputError, match=rf"^{next(iter(row))} of line 2 of metrics\.jsonl"):
        folder.read_metrics()


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi")
)
SETTINGS = [
    BOMB, "a: " + "[" * 90_000, "a: ${oc.env:HOME}", 'a: "\\x24{oc.env:HOME}"', "${a}: 1", "a: !!python/name:os.system",
    "1", "", "a: [", "1: 2", "a: " + "x" * 200_000, "a: 2026-13-45",
]  # fmt: skip


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_that_are_no_plain_yaml_are_one_line(text: str):
    with pytest.raises(InputError, match=r"^config\.yaml must [^\n]*$"):
        parse_yaml(text, "config.yaml")


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_folder_of_another_format_is_told(folder: RunFolder):
    folder.write_manifest({"format": 1})
    with pytest.raises(InputError, match=r"^format of manifest\.json [^\n]+ 2, got 1; [^\n]+$"):
        folder.read_manifest()


@given(_plain, st.sampled_from([None, 2]))
def test_strict_json_keeps_every_value_json_has(value: object, indent: int | None):
    assert _strictly(strict_json(value, indent)) == value


def test_strict_json_takes_arrays_and_tuples_and_refuses_what_has_no_form():
    value = {"a": np.array([1.0, np.nan]), "b": (1, 2), 3: np.bool_(True)}
    assert _strictly(strict_json(value)) == {"a": [1.0, None], "b": [1, 2], "3": True}
    with pytest.raises(TypeError, match="not JSON serializable"):
        strict_json(b"bytes")
