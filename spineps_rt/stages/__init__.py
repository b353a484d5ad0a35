"""The stages of the pipeline: pure functions of a Volume or arrays and their options."""
