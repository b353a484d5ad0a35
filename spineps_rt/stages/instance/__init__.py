"""Separate the vertebrae of a semantic mask."""
