"""How far the masks of a scan can be trusted: reasons with their place, and a verdict."""
