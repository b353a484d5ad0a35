"""Engines: one interface over ONNX Runtime, OpenVINO and TensorRT."""
