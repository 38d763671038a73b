"""Benchmarks: each prints a table and writes JSON. How to run and read them is in README.md beside this."""
