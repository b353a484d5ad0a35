"""Bias field correction (N4)."""
