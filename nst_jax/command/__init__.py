"""The command `nst-jax`: its arguments, and the commands that have no module elsewhere."""
