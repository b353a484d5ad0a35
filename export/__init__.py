"""SPINEPS's networks for this runtime: the only part of the package that knows PyTorch, or the network."""
