"""Float64 NumPy twins, written for being read."""
