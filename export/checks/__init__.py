"""Whether a graph answers as the network that it was made from."""
