"""Numba kernels: one idea a file, arrays in and arrays out."""
