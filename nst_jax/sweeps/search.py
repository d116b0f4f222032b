"""Search: Optuna proposes the settings of the members, a few at a time, learning from the scores so far."""

import json
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override

from nst_jax.errors import InputError, check_ge
from nst_jax.runs.progress import format_number
from nst_jax.sweeps.finish import summarized
from nst_jax.sweeps.folder import SweepFolder
from nst_jax.sweeps.grid import Grid, value_of
from nst_jax.sweeps.scoring import score_members
from nst_jax.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def search(sweep: Sweep, arguments: Sequence[str], params: Mapping[str, Any], *, trials: int, at_once: int, score: str) -> None:
    """Runs a sweep whose members look for the smallest score, and prints the best of them at the end.

    Args:
        sweep: runs the members.
        arguments: the settings of the command line; the search chooses where one lists values or is an interval.
        params: settings of the config, which the command line replaces.
        trials: the number of members.
        at_once: how many members are launched together, without knowing each other's score.
        score: see `nst_jax.sweeps.scoring.factors_of`.

    Raises:
        InputError: nothing to choose, an invalid member, an unknown score, or a missing package.
        MembersFailed: some members have no picture.
    """
    overrides = {override.get_key_element(): override for override in sweep.parse(params, arguments)}
    chosen = {key: override for key, override in overrides.items() if override.is_sweep_override()}
    if not chosen:
        raise InputError(
            "search must have a setting to choose, got none; give one as interval(1.0,10.0), or as a list of values"
        )
    if not score:
        raise InputError("hydra.sweeper.score must name the score to minimize, got nothing; start from experiment=search")
    asked: Mapping[str, Any] = {
        "trials": trials,
        "at_once": check_ge("hydra.sweeper.at_once", at_once, 1),
        "fixed": [f"{key}={o.get_value_element_as_str()}" for key, o in overrides.items() if key not in chosen],
        "chosen": {key: _distribution(override) for key, override in chosen.items()},
    }
    first = sweep.check(_propose(asked, []))
    sweep.create(first, score, asked)
    quiet = first[0].config.run.quiet
    with summarized(sweep.folder, quiet=quiet):
        search_on(sweep, quiet=quiet)


def search_on(sweep: Sweep, *, quiet: bool) -> None:
    """Runs the remaining trials; trials that follow the same scores are the same."""
    asked = sweep.folder.read()["search"]
    assert asked
    while len(made := _trials(sweep.folder, asked)) < asked["trials"]:
        grid = _propose(asked, made)
        members = sweep.check(grid, len(made))
        folders, hashes = [member.folder for member in members], [member.sha256 for member in members]
        sweep.folder.add(grid, folders, hashes, same_grid=True)
        sweep.launch(members)
    if not quiet:
        _print_best(made)


def _distribution(override: Override) -> dict[str, Any]:
    """The distribution of an override, as Optuna writes it."""
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
    try:
        return {key: read(json.dumps(written)) for key, written in asked["chosen"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"search in sweep.json must hold distributions of Optuna, got {error}; the file is damaged") from error


def _propose(asked: Mapping[str, Any], made: "Sequence[FrozenTrial]") -> Grid:
    """Proposes the next trials, given those made so far."""
    optuna = _optuna()
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=len(made)))
    study.add_trials(made)
    count = min(asked["at_once"], asked["trials"] - len(made))
    chosen = [study.ask(_space(asked)).params for _ in range(count)]
    lines = [[*asked["fixed"], *(f"{key}={value}" for key, value in params.items())] for params in chosen]
    return Grid({key: [str(params[key]) for params in chosen] for key in asked["chosen"]}, lines)


def _trials(folder: SweepFolder, asked: Mapping[str, Any]) -> "list[FrozenTrial]":
    """The members as trials, each with its score or failed."""
    from optuna.trial import TrialState, create_trial

    space, scores = _space(asked), score_members(folder)
    trials = []
    for number, member in enumerate(folder.read()["members"]):
        params = {key: _read(value_of(member["overrides"], key) or "", space[key]) for key in space}
        state = TrialState.COMPLETE if number in scores else TrialState.FAIL
        trials.append(create_trial(state=state, value=scores.get(number), params=params, distributions=space))
    return trials


def _read(value: str, distribution: "BaseDistribution") -> int | float | str:
    """A setting as its distribution represents it."""
    distributions = _optuna().distributions
    if isinstance(distribution, distributions.CategoricalDistribution):
        return value
    return int(value) if isinstance(distribution, distributions.IntDistribution) else float(value)


def _print_best(made: "Sequence[FrozenTrial]") -> None:
    scored = [(trial.value, number, trial.params) for number, trial in enumerate(made) if trial.value is not None]
    if scored:
        least, number, params = min(scored, key=operator.itemgetter(0))
        settings = " ".join(f"{key}={value}" for key, value in params.items())
        print(f"best: member {number} with a score of {format_number(least)}: {settings}")


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError('search must have Optuna installed, got no such package; pip install "nst_jax[sweeps]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
