"""ONNX graphs: traced, checked, and rewritten in other precisions and batches."""
