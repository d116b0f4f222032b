"""Films: which frames are painted, how they are read and written, and a film as a run like any other."""

import contextlib
import io
import json
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nst_jax import __main__ as program
from nst_jax import job, replay
from nst_jax.errors import InputError
from nst_jax.images.files import read_image, write_image
from nst_jax.images.video import CODECS, decode_film, film_record, probe_film, write_film
from nst_jax.job import history
from nst_jax.report.charts import columns
from nst_jax.report.run_page import render
from nst_jax.runner import run as runner
from nst_jax.runner.kinds import config_in
from nst_jax.runner.resume import resume
from nst_jax.runs.folder import RunFolder
from nst_jax.video import __main__ as video
from nst_jax.video.config import FlowConfig, VideoConfig
from nst_jax.video.flow import optical_flow
from nst_jax.video.frames import decode_clip, digest_of, open_clip, order_of

av = pytest.importorskip("av")
cv2 = pytest.importorskip("cv2")

COLORS = np.array(
    [[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 100, 50], [128, 128, 128], [255, 255, 255], [0, 0, 0], [30, 60, 90]], np.uint8
)
CARD = np.repeat(np.repeat(COLORS.reshape(2, 4, 3), 32, 0), 32, 1)
SMALL = ["size=48", "scales=1", "steps=4", "temporal.steps=3", "run.quiet=true", "style.path=style.png"]
SMALL += ["loss.content_layers=[relu1_1]", "loss.style_layers=[relu1_1]"]


def scene(seed: int, height: int = 40, width: int = 64) -> np.ndarray:
    """A smooth picture with structure at several sizes."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    parts = [cv2.normalize(cv2.GaussianBlur(noise, (0, 0), sigma), None, 0, 1, cv2.NORM_MINMAX) for sigma in (1.5, 5)]
    return (parts[0] + parts[1]) / 2


def pan(count: int = 4, seed: int = 0) -> list[np.ndarray]:
    """Frames of a camera that moves by 2 pixels with each."""
    big = scene(seed)
    return [(255 * big[:36, 2 * i : 2 * i + 48]).astype(np.uint8) for i in range(count)]


def write_frames(folder: Path, frames: list[np.ndarray]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:06d}.png")
    return folder


def furnish(folder: Path) -> None:
    """Puts a style and the frames of a film into a folder."""
    write_image(folder / "style.png", np.random.default_rng(9).random((1, 40, 40, 3), np.float32))
    write_frames(folder / "film", pan())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a style, a film and its frames."""
    monkeypatch.chdir(tmp_path)
    furnish(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a film is painted, once for all tests that only look: run/ and out.mp4."""
    furnish(folder := tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as said:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["video", "content.path=film", *SMALL, "run.dir=run", "run.output=out.mp4"])
        assert (video.main(), said.getvalue()) == (0, "")
    return folder


@pytest.fixture
def paint(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`python -m nst_jax.video` without its pages, which take longer than the frames: the exit code, and standard error."""
    for name in ("write_pages", "write_report"):
        monkeypatch.setattr(runner, name, lambda folder: None)

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["video", *arguments])
        capfd.readouterr()
        return video.main(), capfd.readouterr().err

    return call


def frames_of(folder: Path | str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((Path(folder) / "frames").glob("*.png"))]


def rows_of(folder: Path | str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows_with_seconds(folder)]


def rows_with_seconds(folder: Path | str) -> list[dict[str, Any]]:
    return RunFolder(Path(folder)).read_metrics()


@pytest.mark.parametrize(("codec", "most"), [("h264", 4), ("prores", 4), ("ffv1", 0)])
def test_a_written_film_has_the_times_the_colors_and_the_record(tmp_path: Path, codec: str, most: int):
    file, times = tmp_path / f"film{CODECS[codec].suffix}", [0.0, 0.1, 0.5]
    assert write_film(file, [CARD] * 3, times, codec, record='{"a": 1}') == []
    film = probe_film(file)
    assert film.times == pytest.approx(times, abs=1e-3)
    assert film.height_width == (64, 128)
    frames = list(decode_film(file))
    assert len(frames) == 3
    assert np.abs(np.int32(frames[1][16::32, 16::32].reshape(-1, 3)) - COLORS).max() <= most
    assert json.loads(film_record(file)) == {"a": 1}
    assert not [*tmp_path.glob(".*")]


@pytest.mark.parametrize("matrix", [1, 5])  # BT.709 and BT.601
@pytest.mark.parametrize("full", [1, 2])  # limited and full range
def test_colors_are_read_by_the_matrix_and_range_that_a_film_says(tmp_path: Path, matrix: int, full: int):
    encode(tmp_path / "film.mp4", [CARD] * 2, matrix, full)
    frame = next(decode_film(tmp_path / "film.mp4"))
    assert np.abs(np.int32(frame[16::32, 16::32].reshape(-1, 3)) - COLORS).max() <= 4


def encode(file: Path, frames: list[np.ndarray], matrix: int | None = None, full: int | None = None, transfer: int = 2) -> None:
    with av.open(str(file), "w") as film:
        stream = film.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.color_trc = "yuv420p", transfer
        if matrix and full:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, full
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            film.mux(stream.encode(picture.reformat(format="yuv420p", dst_colorspace=matrix, dst_color_range=full)))
        film.mux(stream.encode())


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 3), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_a_phone_film_is_turned_upright(tmp_path: Path, matrix: tuple[int, ...], turns: int):
    """The track header of a film from a phone holds a rotation, which players apply."""
    encode(file := tmp_path / "film.mp4", [CARD] * 2)
    data = bytearray(file.read_bytes())
    at = data.index(b"tkhd") + 44
    for place, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + place : at + place + 4] = struct.pack(">i", value << 16)
    file.write_bytes(data)
    upright = np.rot90(CARD, turns)
    assert probe_film(file).height_width == upright.shape[:2]
    assert np.abs(np.int32(next(decode_film(file))) - upright).mean() < 2


def test_high_dynamic_range_is_said(tmp_path: Path):
    encode(tmp_path / "film.mp4", [CARD] * 2, 1, 1, transfer=16)
    assert "PQ" in probe_film(tmp_path / "film.mp4").notices[0]


def test_the_sound_of_the_part_is_kept(tmp_path: Path):
    source = tmp_path / "source.mp4"
    with av.open(str(source), "w") as film:
        pictures, sound = film.add_stream("libx264", rate=10), film.add_stream("aac", rate=8000)
        pictures.width, pictures.height, pictures.pix_fmt = 128, 64, "yuv420p"
        for _ in range(30):
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(CARD, format="rgb24")))
        film.mux(pictures.encode())
        wave = (0.2 * np.sin(np.arange(1024) / 3)).astype(np.float32)[None]
        for number in range(24):
            frame = av.AudioFrame.from_ndarray(wave if number > 8 else 0 * wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 1024 * number, Fraction(1, 8000)
            film.mux(sound.encode(frame))
        film.mux(sound.encode())
    film = probe_film(source)
    assert write_film(tmp_path / "part.mp4", [CARD] * 10, [i / 10 for i in range(10)], sound=film, offset=1.0) == []
    with av.open(str(tmp_path / "part.mp4")) as part:
        packets = [float(p.pts * p.time_base) for p in part.demux(part.streams.audio[0]) if p.size]
        part.seek(0)
        loudness = [float(np.abs(frame.to_ndarray()).mean()) for frame in part.decode(part.streams.audio[0])]
    assert 0 <= packets[0] < 0.2
    assert np.mean(loudness[2:]) > 0.05  # the film begins with a second of silence
    assert 0.8 < packets[-1] <= 1.05


def test_a_gif_is_a_film(tmp_path: Path):
    pictures = [Image.fromarray(frame) for frame in pan()]
    pictures[0].save(tmp_path / "film.gif", save_all=True, append_images=pictures[1:], duration=200)
    film = probe_film(tmp_path / "film.gif")
    assert film.times == pytest.approx([0, 0.2, 0.4, 0.6], abs=0.011)
    assert film.height_width == (36, 48)


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [(":", [0, 1, 2, 3, 4, 5]), ("1:4", [1, 2, 3]), ("::2", [0, 2, 4]), ("-2:", [4, 5]), ("3", [3]), ("-1", [5])],
)
def test_frames_are_chosen_as_python_counts(tmp_path: Path, frames: str, numbers: list[int]):
    folder = write_frames(tmp_path / "film", pan(6))
    clip = open_clip(folder, frames)
    assert list(clip.numbers) == numbers
    assert clip.times[0] == 0


def test_frames_per_second_leave_out_or_repeat_frames(tmp_path: Path):
    folder = write_frames(tmp_path / "film", pan(6))  # 25 a second
    assert open_clip(folder, fps=12.5).numbers == (0, 2, 4)
    assert len(open_clip(folder, fps=50.0).numbers) == 11
    assert open_clip(folder, fps=12.5).times == pytest.approx([0, 0.08, 0.16])


def test_a_damaged_film_has_the_frames_before_the_damage(tmp_path: Path):
    encode(file := tmp_path / "film.mkv", [np.random.default_rng(i).integers(0, 255, (64, 64, 3), np.uint8) for i in range(20)])
    whole = len(probe_film(file).times)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    assert 0 < len(list(decode_film(file))) <= len(probe_film(file).times) < whole


def test_a_film_with_a_damaged_middle_is_painted_up_to_there_and_says_so(here: Path, paint: Any):
    encode(file := here / "film.mp4", [np.random.default_rng(i).integers(0, 255, (36, 48, 3), np.uint8) for i in range(8)])
    data = bytearray(file.read_bytes())
    at = data.index(b"mdat")  # behind its size, in four bytes
    middle = at + int.from_bytes(data[at - 4 : at], "big") // 2
    data[middle : middle + 500] = bytes(500)
    file.write_bytes(data)
    decoded = len(list(decode_film(file)))
    assert 0 < decoded < len(probe_film(file).times) == 8
    settings = [setting for setting in SMALL if setting != "run.quiet=true"]
    code, said = paint("content.path=film.mp4", *settings, "run.dir=run")
    assert code == 0
    assert f"{decoded} of 8" in said
    assert len(frames_of("run")) == len(list(decode_film(here / "run/result.mp4"))) == decoded


def test_backward_passes_and_frames_before_a_keyframe_go_backward():
    assert order_of(3, []) == [(0, -1), (1, -1), (2, -1)]
    assert order_of(3, [], 2) == [(2, 1), (1, 1), (0, 1)]
    assert order_of(5, [1, 3]) == [(0, 1), (2, -1), (4, -1)]


def test_a_film_is_a_run_with_its_frames_its_film_and_its_report(whole: Path):
    run = whole / "run"
    assert len(frames_of(run)) == 4
    assert [frame.shape for frame in decode_film(run / "result.mp4")] == [(36, 48, 3)] * 4
    assert (whole / "out.mp4").read_bytes() == (run / "result.mp4").read_bytes()
    rows = rows_of(run)
    assert [row["frame"] for row in rows] == [0] * 4 + [1] * 3 + [2] * 3 + [3] * 3
    assert [row["step"] for row in rows] == [*range(1, 14)]
    assert ["temporal" in row for row in rows] == [False] * 4 + [True] * 9
    assert {"report.html", "losses.png"} <= {path.name for path in run.iterdir()}
    assert render(RunFolder(run)).count("<video") == 2
    assert "temporal" in columns(rows_with_seconds(run))
    assert {"decoded", "passes", "checkpoints"} & {path.name for path in run.iterdir()} == set()
    assert replay.replay(run / "result.png", content=None, style=None, init=None)[0]
    assert isinstance(config_in(RunFolder(run)), VideoConfig)


def test_only_the_first_two_frames_compile(here: Path, paint: Any, compilations: list[str]):
    paint("content.path=film", *SMALL, "frames=0:2", "run.dir=two")
    compilations.clear()
    assert paint("content.path=film", *SMALL, "run.dir=all", "temporal.weight=3", "strength=0.6")[0] == 0
    assert compilations == []


def watched_by(patch: pytest.MonkeyPatch, observe: job.Callback) -> None:
    """Makes the next run ask `observe` after each chunk."""
    recorder_of = runner.recorder_of
    patch.setattr(runner, "recorder_of", lambda prepared, folder, bar, _=None: recorder_of(prepared, folder, bar, observe))


@pytest.mark.parametrize("options", [["scales=[24,48]", "steps=[2,2]"], ["passes=3", "temporal.steps=2", "steps=2"]])
def test_a_film_that_is_broken_off_anywhere_ends_with_the_same_bytes(
    here: Path, paint: Any, monkeypatch: pytest.MonkeyPatch, options: list[str]
):
    settings = ["content.path=film", *SMALL, *options, "run.checkpoint_every_s=0.0001"]
    assert paint(*settings, "run.dir=whole")[0] == 0
    steps = rows_of("whole")[-1]["step"]
    monkeypatch.setattr(history, "CHUNK_SECONDS", 0.0)  # a chunk has one step
    for number, at in enumerate(np.linspace(2, steps - 1, 3, dtype=int)):
        folder = Path(f"broken{number}")

        def stop(info: job.StepInfo, at: int = int(at)) -> bool:
            if info.step >= at:
                raise RuntimeError("killed")
            return False

        with monkeypatch.context() as patch:
            watched_by(patch, stop)
            with pytest.raises(RuntimeError, match="killed"):
                paint(*settings, f"run.dir={folder}")
        assert RunFolder(folder).read_manifest()["status"] == "failed"
        assert resume(folder, quiet=True)[1] is not None
        assert frames_of(folder) == frames_of("whole")
        assert (folder / "result.png").read_bytes() == Path("whole/result.png").read_bytes()
        assert rows_of(folder) == rows_of("whole")
        assert not {"decoded", "passes"} & {path.name for path in folder.iterdir()}


def test_a_cut_begins_anew(here: Path, paint: Any):
    write_frames(here / "cut", [*pan(2), *pan(2, seed=5)])
    assert paint("content.path=cut", *SMALL, "scales=[24,48]", "steps=[2,2]", "run.dir=run")[0] == 0
    first = {row["frame"]: row for row in reversed(rows_of("run"))}
    assert ["temporal" in first[frame] for frame in range(4)] == [False, True, False, True]
    assert [first[frame]["size"] for frame in range(4)] == [24, 48, 24, 48]


def test_a_still_film_is_still(here: Path, paint: Any):
    write_frames(here / "still", [pan()[0]] * 4)
    assert paint("content.path=still", *SMALL, "run.dir=run")[0] == 0
    assert len(set(frames_of("run"))) == 1


def test_a_still_background_stays_as_it_is(here: Path, paint: Any):
    back = pan()[0]
    frames = [back.copy() for _ in range(4)]
    for number, frame in enumerate(frames):
        frame[10:22, 4 + 3 * number : 16 + 3 * number] = pan(1, seed=7)[0][:12, :12]
    write_frames(here / "moving", frames)
    assert paint("content.path=moving", *SMALL, "run.dir=run")[0] == 0
    painted = [read_image(file).pixels for file in sorted((here / "run/frames").glob("*.png"))]
    np.testing.assert_array_equal(painted[3][:, :, 42:], painted[1][:, :, 42:])
    assert (painted[3][:, 10:22, 13:25] != painted[1][:, 10:22, 13:25]).any()


def test_keyframes_stay_and_the_others_follow_them(here: Path, paint: Any):
    (here / "keys").mkdir()
    key = np.zeros((1, 36, 48, 3), np.float32)
    key[..., 0] = np.linspace(0, 1, 48)
    write_image(here / "keys/frame-000002.png", key)
    assert (
        paint("content.path=film", *SMALL, "run.dir=run", "keyframes=keys", "temporal.weight=1e4", "temporal.steps=5")[0] == 0
    )
    frames = [read_image(file).pixels for file in sorted((here / "run/frames").glob("*.png"))]
    np.testing.assert_allclose(frames[2], key, atol=0.5 / 255)
    assert {row["frame"] for row in rows_of("run")} == {0, 1, 3}
    for frame, shift in ((1, 2), (3, -2)):  # the key as these frames see it, moved by two pixels
        moved = np.roll(key, shift, axis=2)[:, 6:-6, 8:-8]
        assert np.abs(frames[frame][:, 6:-6, 8:-8] - moved).mean() < 0.05


def test_the_style_changes_over_the_film(here: Path, paint: Any):
    noise = np.random.default_rng(1).random((1, 40, 40, 3), np.float32) / 10
    for name, color in {"red": (0.9, 0.1, 0.1), "blue": (0.1, 0.1, 0.9)}.items():
        write_image(f"{name}.png", np.full((1, 40, 40, 3), color, np.float32) + noise)
    settings = [setting for setting in SMALL if not setting.startswith("style.path")]
    settings += ["style.path=[red.png,blue.png]", "blend_at={0:[1,0],3:[0,1]}", "temporal.weight=0", "temporal.steps=8"]
    settings += ["strength=1", "loss.content_weight=0.01", "steps=10"]
    assert paint("content.path=film", *settings, "run.dir=run")[0] == 0
    means = [read_image(file).pixels.mean((0, 1, 2)) for file in sorted((here / "run/frames").glob("*.png"))]
    reds = [float(mean[0] - mean[2]) for mean in means]
    assert reds == sorted(reds, reverse=True)
    assert reds[0] > 0.2
    assert reds[-1] < -0.2


def test_a_mask_may_be_a_film(here: Path, paint: Any):
    masks = [np.zeros((36, 48, 3), np.uint8) for _ in range(4)]
    for number, mask in enumerate(masks):
        mask[:, : 12 + 6 * number] = 255
    write_frames(here / "mask", masks)
    code, _ = paint("content.path=film", *SMALL, "mask.regions=[mask,rest]", "mask.weights=[1,0]", "run.dir=run")
    assert code == 0
    frames = [read_image(file).pixels for file in sorted((here / "run/frames").glob("*.png"))]
    change = [
        np.abs(painted - seen[None].astype(np.float32) / 255).mean(3) for painted, seen in zip(frames, pan(), strict=True)
    ]
    assert change[3][..., 16:28].mean() > 2 * change[3][..., 36:].mean()  # where its mask is, and the first is not
    assert change[0][..., :10].mean() > 2 * change[0][..., 20:].mean()
    write_frames(here / "short", masks[:2])
    code, said = paint("content.path=film", *SMALL, "mask.regions=[short,rest]")
    assert code == 2
    assert "4" in said


def test_the_colors_of_the_film_can_stay(here: Path, paint: Any):
    assert paint("content.path=film", *SMALL, "color=luminance", "run.dir=run")[0] == 0
    painted = read_image(here / "run/frames/000003.png").pixels
    assert np.abs(painted.mean((1, 2)) - pan()[3].mean((0, 1)) / 255).max() < 0.15


@pytest.mark.parametrize("codec", ["ffv1", "png"])
def test_other_codecs(here: Path, paint: Any, codec: str):
    assert paint("content.path=film", *SMALL, "frames=0:2", f"codec={codec}", "run.dir=run")[0] == 0
    films = [file.suffix for file in (here / "run").glob("result.*") if file.suffix != ".png"]
    assert films == ([CODECS[codec].suffix] if codec in CODECS else [])
    assert len(frames_of("run")) == 2


def test_a_preview_is_of_the_first_frames(here: Path, paint: Any):
    write_frames(here / "long", pan(8) + pan(6, seed=0))
    assert paint("content.path=long", *SMALL, "preview=true", "temporal.steps=1", "codec=png", "run.dir=run")[0] == 0
    assert len(frames_of("run")) == 10


@pytest.mark.parametrize("method", ["dis", "deepflow", "tvl1"])
def test_flow_is_the_motion_of_the_camera(method: Any):
    before, frame = (image[None].astype(np.float32) / 255 for image in pan(2))
    inside = optical_flow(frame, before, (1, 0), FlowConfig(method))[4:-4, 4:-8]
    assert np.abs(inside - (2, 0)).mean() < 0.2


def write_flow(folder: Path, first: int) -> None:
    """That of `pan` from a frame to the next and back, in files for frames twice as large."""
    folder.mkdir(exist_ok=True)
    for name, dx in ((f"forward_{first}_{first + 1}", -4), (f"backward_{first + 1}_{first}", 4)):
        cv2.writeOpticalFlow(str(folder / f"{name}.flo"), np.full((72, 96, 2), (dx, 0), np.float32))


def test_flow_from_files_is_used(here: Path, paint: Any):
    write_flow(here / "flow", 1)
    settings = ["content.path=film", *SMALL, "frames=0:2", "temporal.offsets=[1]", "temporal.weight=1e5", "codec=png"]
    assert paint(*settings, "flow.path=flow", "run.dir=run")[0] == 0
    first, second = (read_image(file).pixels for file in sorted((here / "run/frames").glob("*.png")))
    np.testing.assert_allclose(second[:, 4:-4, 4:-8], first[:, 4:-4, 6:-6], atol=0.03)
    (here / "flow/forward_1_2.flo").unlink()
    code, said = paint(*settings, "flow.path=flow")
    assert code == 2
    assert "forward_1_2.flo" in said


def test_a_resumed_film_notices_other_keyframes_and_flow(here: Path, paint: Any, monkeypatch: pytest.MonkeyPatch):
    for first in (1, 2):
        write_flow(here / "flow", first)
    write_frames(here / "keys", pan(1))
    settings = [*SMALL, "frames=0:3", "temporal.offsets=[1]", "codec=png", "keyframes=keys", "flow.path=flow"]
    with monkeypatch.context() as patch:
        watched_by(patch, lambda info: True)
        assert paint("content.path=film", *settings, "run.dir=run")[0] == 130
    monkeypatch.chdir(here.parent)  # relative paths are of the working folder where the run began
    for file in (key := here / "keys/000000.png"), here / "flow/backward_3_2.flo":
        before = file.read_bytes()
        file.write_bytes(before + b"more")
        with pytest.raises(InputError, match=f"^{'keyframes' if file == key else 'flow'} "):
            resume(here / "run", quiet=True)
        file.write_bytes(before)
    assert digest_of([key], 0) != digest_of([key], 1)
    assert resume(here / "run", quiet=True)[1] is not None


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["content.path=missing.mp4"], "missing.mp4"),
        (["content.path=text.mp4"], "text.mp4"),
        (["content.path=sound.mp4"], "sound"),
        (["content.path=empty"], "empty"),
        (["content.path=sizes"], "000001.png"),
        (["content.path=film", "frames=9:12"], "frames"),
        (["content.path=film", "frames=a"], "frames"),
        (["content.path=film", "frames=::0"], "frames"),
        (["content.path=film", "keyframes=nowhere"], "keyframes"),
        (["content.path=film", "keyframes=empty"], "keyframes"),
        (["content.path=film", "keyframes=all"], "keyframes"),
        (["content.path=film", "blend_at={0:[1,0]}"], "blend_at"),
        (["content.path=film", "run.video=true"], "run.video"),
        (["content.path=film", "run.output=out.png"], ".mp4"),
        (["content.path=film", "run.format=jpeg"], "run.format"),
        (["content.path=film", "codec=png", "run.output=out.mp4"], "run.output"),
        (["content.path=film", "flow.path=nowhere"], "flow.path"),
        (["content.path=film", "flow.method=raft"], "flow.method"),
        (["content.path=film", "temporal.offsets=[0]"], "temporal.offsets"),
        (["content.path=film", "init=style.png"], "init"),
        (["content.path=film", "passes=0"], "passes"),
        ([], "content.path"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(here: Path, paint: Any, arguments: list[str], names: str):
    (here / "text.mp4").write_text("no film")
    (here / "empty").mkdir()
    write_frames(here / "sizes", [pan()[0], pan()[0][:30]])
    write_frames(here / "all", pan())
    with av.open(str(here / "sound.mp4"), "w") as film:
        stream = film.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        film.mux(stream.encode(frame))
        film.mux(stream.encode())
    code, said = paint(*SMALL, *arguments, "run.dir=run")
    assert code == 2
    assert said.count("\n") == 1
    assert names in said
    assert not (here / "run/result.png").exists()


@pytest.mark.parametrize("module", ["av", "cv2"])
def test_what_is_not_installed_is_said_with_the_command(here: Path, paint: Any, monkeypatch: pytest.MonkeyPatch, module: str):
    encode(here / "film.mp4", pan())
    for name in ("nst_jax.images.video", "nst_jax.video.flow"):
        monkeypatch.setattr(sys.modules[name], "find_spec", lambda asked: None if asked == module else object())
    code, said = paint("content.path=film.mp4", *SMALL)
    assert code == 2
    assert "nst-jax[video]" in said


def test_one_frame_and_odd_sides_make_a_film(here: Path, paint: Any):
    write_frames(here / "one", [(255 * scene(3, 35, 49)).astype(np.uint8)])
    assert paint("content.path=one", *SMALL, "size=49", "run.dir=run")[0] == 0
    assert next(decode_film(here / "run/result.mp4")).shape == (34, 48, 3)


def test_a_film_that_is_stopped_keeps_its_frames_and_goes_on(
    here: Path, whole: Path, paint: Any, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        watched_by(patch, lambda info: info.step >= 9)
        assert paint("content.path=film", *SMALL, "run.dir=run")[0] == 130
    assert len(list(decode_film(here / "run/result.mp4"))) == len(frames_of("run")) < 4
    assert resume(here / "run", quiet=True)[1] is not None
    assert frames_of("run") == frames_of(whole / "run")
    assert len(list(decode_film(here / "run/result.mp4"))) == 4


def test_a_film_and_a_painting_are_all_that_the_command_needs(here: Path, monkeypatch: pytest.MonkeyPatch):
    encode(here / "in.mp4", pan())
    calls = []
    monkeypatch.setattr(video, "main", lambda: calls.append(sys.argv[1:]) or 0)
    for line in (["in.mp4", "style.png"], ["video", "in.mp4", "style.png"], ["video", "film", "style.png"]):
        assert program.main([*line, "-o", "out.mp4", "--strength", "0.6", "fps=5"]) == 0
    (film, *_) = [argument for argument in calls[0] if argument.startswith("content")]
    assert film == "content.path=in.mp4"
    assert {"style.path=style.png", "strength=0.6", "fps=5"} <= {*calls[0]}
    assert calls[0] == calls[1]
    assert "content.path=film" in calls[2]
    assert program.main(["video", "in.mp4", "in.mp4", "style.png"]) == 2
    assert program.main(["video", "--resume", "film"]) == 0
    assert calls[-1] == ["--resume", "film"]


def test_the_preset_that_starts_from_one_pass_is_one_of_films_too(here: Path, paint: Any):
    settings = [*SMALL, "experiment=fast", "frames=0:2", "codec=png"]
    assert paint("content.path=film", *settings, "run.dir=run")[0] == 0
    assert len(frames_of("run")) == 2


@pytest.mark.parametrize("option", ["scale.tile=64", "loss.style_distance=neighbors", "optimizer=adam"])
def test_other_losses_and_ways_to_execute_them(here: Path, paint: Any, option: str):
    settings = ["frames=0:2", "codec=png", "temporal.offsets=[1]", option]
    assert paint("content.path=film", *SMALL, *settings, "run.dir=run")[0] == 0
    terms = [row["temporal"] for row in rows_of("run") if "temporal" in row]
    assert terms[0] >= 0
    assert len(frames_of("run")) == 2


def test_parts_of_a_film_are_a_sweep(here: Path, paint: Any):
    settings = ["-m", "frames=0:2,2:4", "content.path=film", *SMALL, "codec=png"]
    assert paint(*settings, "hydra.sweep.dir=parts")[0] == 0
    assert [len(frames_of(f"parts/{part}")) for part in (0, 1)] == [2, 2]
    assert (here / "parts/contact_sheet.png").exists()
    before = frames_of("parts/1")
    (here / "parts/1/result.png").unlink()
    assert paint("--resume", "parts")[0] == 0
    assert frames_of("parts/1") == before
    code, said = paint(*settings, "hydra/launcher=batched")
    assert code == 2
    assert "hydra/launcher" in said


def test_a_result_that_is_a_film_makes_no_film_of_a_photo(here: Path, monkeypatch: pytest.MonkeyPatch):
    """The value of a flag is no picture of the command line."""
    encode(here / "old.mp4", pan())
    write_image("photo.png", np.zeros((1, 36, 48, 3), np.float32))
    monkeypatch.setattr(video, "main", lambda: pytest.fail("it was taken for a film"))
    assert program.main(["-o", "old.mp4", "photo.png", "style.png", "size=48"]) == 2


def test_notices_are_said_once(here: Path, paint: Any):
    encode(here / "hdr.mp4", pan(2), 1, 1, transfer=16)
    settings = [setting for setting in SMALL if setting != "run.quiet=true"]
    assert paint("content.path=hdr.mp4", *settings, "codec=png", "run.dir=run")[1].count("HDR") == 1
    Image.fromarray(pan()[0]).save("first.gif", save_all=True, append_images=[Image.fromarray(pan()[1])])
    assert paint("content.path=film", *settings, "frames=0:1", "style.path=first.gif")[1].count("first of 2 frames") == 1


def test_a_damaged_mark_of_decoding_is_none(here: Path):
    clip = open_clip(here / "film")
    (here / "decoded").mkdir()
    assert decode_clip(clip, "content", here / "decoded", (36, 48)) == 4
    for damage in ("", "[]", "{", json.dumps({"sha256": clip.sha256, "frames": [0, 1, 2, 3], "size": [36, 48]})):
        (here / "decoded/content.json").write_text(damage)
        assert decode_clip(clip, "content", here / "decoded", (36, 48)) == 4
