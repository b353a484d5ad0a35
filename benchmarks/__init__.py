"""Measurements of the runtime; nothing here is imported by it."""
