"""A network over a whole volume: tiles and cutouts, on the host or on a GPU."""
