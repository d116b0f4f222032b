"""Solvers and the compiled loop they run in."""
