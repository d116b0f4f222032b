"""`--plan` of a sweep: which members share their programs, and what these take."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nst_jax.config.schema import Config
from nst_jax.runner.plan import show_plan
from nst_jax.runner.prepare import PREVIOUS
from nst_jax.sweeps.launchers.batched import program_key
from nst_jax.sweeps.member import Member


def show_plans(members: Sequence[Member]) -> None:
    """Prints, for each set of members with equal programs, their numbers and the plan of one of them; runs nothing.

    Raises:
        InputError: anything the user can fix in one of them.
    """
    groups: dict[Any, list[Member]] = defaultdict(list)
    for member in members:
        config = replace(member.config, init=Config.init) if member.config.init == PREVIOUS else member.config
        groups[program_key(config)].append(member._replace(config=config))
    for group in groups.values():
        print(f"member {', '.join(str(member.number) for member in group)}:", flush=True)
        show_plan(group[0].config)
