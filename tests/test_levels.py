"""What is said about vertebrae bears the names that they have in the end."""

from __future__ import annotations

import numpy as np
import pytest

from plain_spine import PITCH, SPACING, spine
from spineps_rt import labels as L
from spineps_rt.errors import NoSpineError
from spineps_rt.levels import finish_masks
from spineps_rt.options import AS_SPINEPS, Options
from spineps_rt.timing import Clock
from spineps_rt.volume import Volume

PIR = np.array([[0, 0, -2.0, 30], [-1.0, 0, 0, 40], [0, -1.0, 0, 90], [0, 0, 0, 1]])


def finished(semantic, instances, options=None):
    image = Volume(np.zeros(semantic.shape, np.int16), PIR)
    assert image.spacing == SPACING
    masks = [semantic, instances]
    done = finish_masks(masks, image, options=options or Options(), sacrum_ids=(L.SACRUM,), clock=Clock(None))
    assert masks == []
    return done


def doubled():
    """A spine whose second disc is in two pieces."""
    semantic, instances = spine()
    semantic[58:62, 10 + PITCH + 18 : 10 + 2 * PITCH, 2:10] = 0
    return semantic, instances


@pytest.mark.parametrize(("options", "name"), [(Options(), "L2"), (AS_SPINEPS, "V2")])
def test_warnings_use_final_names(options, name):
    assert f"{name} got 2 disc components instead of one" in finished(*doubled(), options).warnings


def test_without_a_sacrum_warnings_count_from_the_top():
    semantic, instances = doubled()
    semantic[semantic == L.SACRUM] = 0
    done = finished(semantic, instances)
    assert "V2 got 2 disc components instead of one" in done.warnings
    assert not done.levels.anatomical


def test_what_was_removed_is_told():
    semantic, instances = spine()
    semantic[5:27, 40:60, 2:10], instances[5:27, 40:60, 2:10] = L.CORPUS, 9
    done = finished(semantic, instances)
    assert len(done.removed) == 1
    assert str(done.removed[0]) in done.warnings
    assert sorted(done.levels.renamed.values()) == [20, 21, 22, 23, 24]


def test_what_a_false_vertebra_below_the_sacrum_held_goes_with_it():
    semantic, instances = spine()
    semantic[36:46, 138:146, 3:9], instances[36:46, 138:146, 3:9] = L.CORPUS, 9
    semantic[20:30, 138:146, 4:8] = L.SACRUM  # a crumb that hangs on the false one only
    done = finished(semantic.copy(), instances.copy())
    kept = done.levels.semantic
    assert not kept[:48].any()
    assert np.count_nonzero(kept == L.SACRUM) == np.count_nonzero(semantic[48:] == L.SACRUM)
    assert any("sacrum apart from the column" in warning for warning in done.warnings)
    as_spineps = finished(semantic.copy(), instances.copy(), AS_SPINEPS).levels.semantic
    assert (as_spineps[20:30, 138:146, 4:8] == L.SACRUM).all()


def test_masks_without_a_vertebra_are_an_error():
    nothing = np.zeros((20, 20, 6), np.uint8)
    with pytest.raises(NoSpineError):
        finished(nothing, nothing.astype(np.uint16))
