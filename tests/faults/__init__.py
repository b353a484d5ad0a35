"""Accidents made on purpose: a short form in the tests, a long one by ``python -m tests.faults``."""
