"""What of a semantic model's answer shows that a tile lies on the spine."""

from __future__ import annotations

import numpy as np

from spineps_rt.labels import CANAL, CORD, CORPUS, CORPUS_INNER, DISC
from spineps_rt.models.manifest import SemanticModel

COLUMN = (CORPUS, CORPUS_INNER, DISC)
"""With the model's sacrum: the front of the spine."""
TUBE = (CANAL, CORD)
"""What runs behind it."""
SHARES = (1 / 16, 1 / 500)
"""Of a patch: so much column and so much tube must the spine show in a row of tiles. Lumbar scans show 1/8
and 1/40, rows of sacrum 1/8 and 1/200; the embedded network's largest error seen, at a scan's rim, 1/45 and
1/24."""


def spine_kinds(model: SemanticModel) -> np.ndarray | None:
    """Tell which classes the spine must show in a row of tiles before it is believed.

    A network that errs takes a vessel for a canal or a muscle for a body, hardly so much of both at once.

    Args:
        model: A semantic model.

    Returns:
        uint8 (classes,) as :class:`spineps_rt.inference.tile_search.Search` takes it: 0 background, 2 column,
        3 canal and cord, 1 the rest; None for a model that does not answer both.
    """
    table = model.label_table
    kinds = (table > 0).astype(np.uint8)
    for kind, labels in ((2, (*COLUMN, *model.sacrum_ids)), (3, TUBE)):
        hit = np.isin(table, labels)
        if not hit.any():
            return None
        kinds[hit] = kind
    return kinds
