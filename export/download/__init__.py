"""Official releases of SPINEPS from the network, the only part that opens a connection."""
