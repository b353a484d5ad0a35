"""What tells of a machine: self-test, benchmark, warm-up, a GPU's memory."""
