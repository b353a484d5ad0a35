"""Proofs that spineps-rt answers as SPINEPS 2.1.3 does: recorded runs of SPINEPS, replayed stage by stage."""
