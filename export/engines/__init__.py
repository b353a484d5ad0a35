"""Engines of TensorRT and TensorRT-RTX, built for GPUs that need not be there."""
