"""Measure this package against the usual ways: ``python -m benchmarks …``.

One module a benchmark. Each prints a table, and writes it as JSON and as a figure under
``outputs/benchmarks/``. What is compared runs alternately, in one run, on the same data and with
the same number of threads, so that a noisy machine is noisy for all: trust the ratios.
"""
