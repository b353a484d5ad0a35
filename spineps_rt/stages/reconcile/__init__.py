"""How the two masks clean each other."""
