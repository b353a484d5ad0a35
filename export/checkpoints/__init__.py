"""SPINEPS's folders: configuration, checkpoints, which are read and never run, and their networks."""
