"""A procedural spine with its truth, and an MR image of it."""
