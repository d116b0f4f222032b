"""Sweeps: several runs that differ in a few settings, their table and their figures; in one program where that is possible."""
