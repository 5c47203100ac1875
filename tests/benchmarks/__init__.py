"""Measurements, run by commands and never timed in a test: `python -m tests.benchmarks.<name> --help`."""
