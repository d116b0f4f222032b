"""The experiments, and the benchmarks beside them."""
