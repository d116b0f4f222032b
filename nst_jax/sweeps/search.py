"""A search: members whose settings Optuna proposes, some at a time, learning from the scores of those before."""

import json
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hydra.core.override_parser.types import IntervalSweep, Override

from nst_jax.errors import InputError
from nst_jax.runs.progress import format_number
from nst_jax.sweeps.finish import always_summarize, conclude
from nst_jax.sweeps.folder import SweepFolder, create_sweep
from nst_jax.sweeps.grid import Grid, value_of
from nst_jax.sweeps.member import Member
from nst_jax.sweeps.scoring import check_score, score_members

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


@runtime_checkable
class Performs(Protocol):
    """What checks and runs members: a sweep that begins, or one that goes on."""

    folder: SweepFolder

    def check(self, grid: Grid, first: int = 0) -> list[Member]:
        """Composes every member, numbered from `first`, and checks its settings."""
        ...

    def launch(self, overrides: Sequence[Sequence[str]], first: int = 0) -> None:
        """Runs members, numbered from `first`."""
        ...


def search(sweep: Performs, settings: Sequence[Override], trials: int, at_once: int, score: str) -> None:
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
    overrides = {override.get_key_element(): override for override in settings}
    chosen = {key: override for key, override in overrides.items() if override.is_sweep_override()}
    if not chosen:
        raise InputError(
            "search must have a setting to choose, got none; give one as interval(1.0,10.0), or as a list of values"
        )
    if not score:
        raise InputError("hydra.sweeper.score must name what the search makes small, got nothing; start from experiment=search")
    asked = {
        "trials": trials,
        "at_once": at_once,
        "fixed": [f"{key}={o.get_value_element_as_str()}" for key, o in overrides.items() if key not in chosen],
        "chosen": {key: _distribution(override) for key, override in chosen.items()},
    }
    first = sweep.check(_propose(asked, []))
    check_score(first[0].config, score)
    create_sweep(sweep.folder.path, score, asked)
    with always_summarize(sweep.folder):
        search_on(sweep)
    conclude(sweep.folder)


def search_on(sweep: Performs) -> None:
    """Makes the trials that are still to be made; those that follow the same scores are the same."""
    asked = sweep.folder.read()["search"]
    while len(made := _trials(sweep.folder, asked)) < asked["trials"]:
        grid = _propose(asked, made)
        members = sweep.check(grid, len(made))
        sweep.folder.add(grid, [member.folder for member in members], go_on=True)
        sweep.launch(grid.members, len(made))
    _say_best(made)


def _distribution(override: Override) -> dict[str, Any]:
    """What an override lets choose from, as Optuna writes it."""
    distributions = _optuna().distributions
    value = override.value()
    if not isinstance(value, IntervalSweep):
        found = distributions.CategoricalDistribution([str(choice) for choice in override.sweep_string_iterator()])
    elif isinstance(value.start, int) and isinstance(value.end, int):
        found = distributions.IntDistribution(value.start, value.end, log="log" in value.tags)
    else:
        assert value.start is not None
        assert value.end is not None
        found = distributions.FloatDistribution(float(value.start), float(value.end), log="log" in value.tags)
    return json.loads(distributions.distribution_to_json(found))


def _space(asked: Mapping[str, Any]) -> "dict[str, BaseDistribution]":
    read = _optuna().distributions.json_to_distribution
    return {key: read(json.dumps(written)) for key, written in asked["chosen"].items()}


def _propose(asked: Mapping[str, Any], made: "Sequence[FrozenTrial]") -> Grid:
    """The next trials, after those that are made."""
    optuna = _optuna()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=len(made)))
    study.add_trials(made)
    count = min(asked["at_once"], asked["trials"] - len(made))
    chosen = [study.ask(_space(asked)).params for _ in range(count)]
    lines = [[*asked["fixed"], *(f"{key}={value}" for key, value in params.items())] for params in chosen]
    return Grid({key: [str(params[key]) for params in chosen] for key in asked["chosen"]}, lines)


def _trials(folder: SweepFolder, asked: Mapping[str, Any]) -> "list[FrozenTrial]":
    """The members as trials: scored, or failed."""
    from optuna.trial import TrialState, create_trial

    space, scores = _space(asked), score_members(folder)
    trials = []
    for number, member in enumerate(folder.read()["members"]):
        params = {key: _read(value_of(member["overrides"], key) or "", space[key]) for key in space}
        state = TrialState.COMPLETE if number in scores else TrialState.FAIL
        trials.append(create_trial(state=state, value=scores.get(number), params=params, distributions=space))
    return trials


def _read(value: str, distribution: "BaseDistribution") -> int | float | str:
    """A setting as its distribution has it."""
    distributions = _optuna().distributions
    if isinstance(distribution, distributions.CategoricalDistribution):
        return value
    return int(value) if isinstance(distribution, distributions.IntDistribution) else float(value)


def _say_best(made: "Sequence[FrozenTrial]") -> None:
    scored = [(trial.value, number, trial.params) for number, trial in enumerate(made) if trial.value is not None]
    if scored:
        least, number, params = min(scored, key=operator.itemgetter(0))
        settings = " ".join(f"{key}={value}" for key, value in params.items())
        print(f"best: member {number} with a score of {format_number(least)}: {settings}")


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError('search must have Optuna installed, got no such package; pip install -e ".[sweeps]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
