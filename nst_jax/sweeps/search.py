"""A search: members whose settings Optuna proposes, some at a time, learning from the scores of those before."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override

from nst_jax.errors import InputError
from nst_jax.runs.progress import short
from nst_jax.sweeps.folder import create_sweep
from nst_jax.sweeps.grid import Grid
from nst_jax.sweeps.member import Member
from nst_jax.sweeps.scoring import check_score, score_members
from nst_jax.sweeps.sweep import Sweep, conclude, in_any_case

if TYPE_CHECKING:
    from optuna import Study, Trial

Proposal = tuple["list[Trial]", Grid, list[Member]]


def search(sweep: Sweep, settings: Sequence[Override], trials: int, at_once: int, score: str) -> None:
    """A sweep whose members look for the smallest score; the best of them is said at the end.

    Args:
        sweep: where the members go.
        settings: of all members; where one lists values or is an interval, the search chooses. The last one of a key counts.
        trials: how many members there are.
        at_once: how many are launched together, without knowing each other's score.
        score: see `nst_jax.sweeps.scoring.factors_of`.

    Raises:
        InputError: nothing to choose, a member that is not sound, no such score, or a package is missing.
        MembersFailed: some members have no picture.
    """
    overrides = list({override.get_key_element(): override for override in settings}.values())
    study = _study(overrides, score)
    proposals = _proposals(study, sweep, overrides, trials, at_once)
    first = next(proposals)
    check_score(first[2][0].config, score)
    create_sweep(sweep.folder.path, score)
    with in_any_case(sweep.folder):
        for asked, grid, members in chain([first], proposals):
            sweep.folder.add(grid, [member.folder for member in members], go_on=True)
            sweep.launch(grid.members, members[0].number)
            _learn(study, asked, score_members(sweep.folder))
    _say_best(study)
    conclude(sweep.folder)


def _study(overrides: Sequence[Override], score: str) -> "Study":
    if not any(override.is_sweep_override() for override in overrides):
        raise InputError(
            "search must have a setting to choose, got none; give one as interval(1.0,10.0), or as a list of values"
        )
    if not score:
        raise InputError("hydra.sweeper.score must name what the search makes small, got nothing; start from experiment=search")
    try:
        import optuna
    except ImportError as error:
        raise InputError('search must have Optuna installed, got no such package; pip install -e ".[sweeps]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))


def _proposals(study: "Study", sweep: Sweep, overrides: Sequence[Override], trials: int, at_once: int) -> Iterator[Proposal]:
    """Members, some at a time, each time asked for when those before are scored."""
    for first in range(0, trials, at_once):
        asked = [study.ask() for _ in range(min(at_once, trials - first))]
        lines = [[f"{override.get_key_element()}={_value(trial, override)}" for override in overrides] for trial in asked]
        grid = Grid({key: [str(trial.params[key]) for trial in asked] for key in asked[0].params}, lines)
        yield asked, grid, sweep.check(grid, first)


def _value(trial: "Trial", override: Override) -> Any:
    key, value = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return override.get_value_element_as_str()
    if not isinstance(value, IntervalSweep):
        return trial.suggest_categorical(key, [str(choice) for choice in override.sweep_string_iterator()])
    start, end, log = value.start, value.end, "log" in value.tags
    assert start is not None
    assert end is not None
    if isinstance(start, int) and isinstance(end, int):
        return trial.suggest_int(key, start, end, log=log)
    return trial.suggest_float(key, float(start), float(end), log=log)


def _learn(study: "Study", asked: "Sequence[Trial]", scores: Mapping[int, float]) -> None:
    from optuna.trial import TrialState

    for trial in asked:  # the numbers of trials are those of members
        if trial.number in scores:
            study.tell(trial, scores[trial.number])
        else:
            study.tell(trial, state=TrialState.FAIL)


def _say_best(study: "Study") -> None:
    scored = [trial for trial in study.trials if trial.value is not None]
    if scored:
        best = min(scored, key=lambda trial: trial.value or 0.0)
        settings = " ".join(f"{key}={value}" for key, value in best.params.items())
        print(f"best: member {best.number} with a score of {short(best.value)}: {settings}")
