"""Golden arrays, each with the script that makes it."""
