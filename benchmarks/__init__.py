"""Time and memory beside NumPy, SciPy and torch: `make bench`, or `python -m benchmarks --help`."""
