"""A table of systems, ours and others, over many pairs of pictures: `python -m experiments.scoreboard --help`."""
