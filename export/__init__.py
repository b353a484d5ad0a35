"""SPINEPS checkpoints to ONNX. The only part of the package that knows PyTorch."""
