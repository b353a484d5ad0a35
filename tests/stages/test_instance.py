import numpy as np
import pytest
from scipy import ndimage

from spineps_rt.errors import ContractError, NoSpineError
from spineps_rt.options import InstanceOptions
from spineps_rt.stages.instance.segment import InstanceLimits, segment_instances
from stacked_bodies import CUTOUT, EVERYTHING, PITCH, SPACING, answer, by_cutouts, stack

LIMITS = InstanceLimits(cutout=CUTOUT)


def run(labels, *, predict=answer, limits=LIMITS, **options):
    return segment_instances(
        labels,
        spacing=SPACING,
        classify=by_cutouts(predict),
        limits=limits,
        options=InstanceOptions(**options),
    )


def vertebrae(labels):
    """Number the bodies with their arches from the top, leaving out the discs."""
    return ndimage.label(np.isin(labels, (41, 49)), EVERYTHING)[0]


def test_every_vertebra_gets_one_label():
    labels = stack(6)
    found = run(labels)
    truth = vertebrae(labels)
    pairs = {(int(a), int(b)) for a, b in zip(truth.ravel(), found.instances.ravel())}
    assert found.instances.dtype == np.uint16
    assert len(pairs) == 7
    assert {a for a, _ in pairs} == {b for _, b in pairs} == set(range(7))
    assert (found.n_corpora, found.warnings) == (6, ())


def test_cutouts_are_centred_numbered_from_below_and_relabelled():
    labels, seen = stack(5), []

    def predict(cutouts):
        seen.extend(cutouts.copy())
        return answer(cutouts)

    run(labels, predict=predict)
    assert [cutout.shape for cutout in seen] == [CUTOUT] * 5
    assert set(np.unique(seen)) == {0, 1, 9}
    second_lowest = np.zeros(CUTOUT, np.uint8)
    mapped = np.where(labels == 49, 9, np.where(labels == 41, 1, 0))
    middle = (10, 4 + 3 * PITCH + 5, 10)  # mean of voxels 4..17 is 10.5, cut to 10
    inside = mapped[: middle[0] + 16, middle[1] - 24 : middle[1] + 24, : middle[2] + 12]
    second_lowest[6:, : inside.shape[1], 2 : 2 + inside.shape[2]] = inside
    np.testing.assert_array_equal(seen[1], second_lowest)


def test_surroundings_do_not_matter():
    labels = stack(4)
    wide = np.zeros(tuple(side + 30 for side in labels.shape), np.uint8)
    wide[11:-19, 7:-23, 5:-25] = labels
    alone, padded = run(labels), run(wide)
    np.testing.assert_array_equal(padded.instances[11:-19, 7:-23, 5:-25], alone.instances)
    assert np.count_nonzero(padded.instances) == np.count_nonzero(alone.instances)


def test_small_fragments_go_and_holes_are_filled():
    labels = stack(3)

    def predict(cutouts):
        classes = answer(cutouts)
        classes[:, 16, 24 - PITCH : 41 : PITCH, 12] = 0  # a hole in each body
        classes[:, 6:8, 20:24, 2:4] = 2  # and a fragment before each body
        return classes

    kept = run(labels, predict=predict, clean_small_components=False, fill_holes=False)
    done = run(labels, predict=predict)
    truth = vertebrae(labels)
    assert ((kept.instances > 0) & (truth == 0)).sum() > 0
    assert ((truth > 0) & (kept.instances == 0)).sum() == 3
    np.testing.assert_array_equal(done.instances > 0, truth > 0)
    assert len(done.warnings) == 3
    assert done.warnings[0].startswith("The instance network saw no vertebra at the centre of body 1 ")


def test_the_largest_components_of_an_answer_can_be_kept():
    labels = stack(3)

    def predict(cutouts):
        classes = answer(cutouts)
        classes[:, 6:8, 20:24, 2:4] = 2
        return classes

    options = {"predict": predict, "clean_small_components": False}
    assert ((run(labels, **options).instances > 0) & (vertebrae(labels) == 0)).any()
    kept = run(labels, largest_components=1, **options)
    np.testing.assert_array_equal(kept.instances > 0, vertebrae(labels) > 0)


def test_missing_vertebrae_are_warned_of():
    labels = stack(4)
    answers = iter([1, 0, 0, 0])
    found = run(labels, predict=lambda cutouts: answer(cutouts) * np.uint8(next(answers)))
    assert found.instances.max() == 2
    assert found.warnings[-1] == "2 vertebrae were found, fewer than the 4 vertebral bodies."


def test_small_bodies_can_be_kept():
    labels = stack(3)
    labels[4:9, -6:-1, 4:9] = 49  # erodes to one voxel
    assert run(labels).n_corpora == 3
    assert run(labels, clean_corpora=False).n_corpora == 4


def test_thresholds_scale_with_the_voxel():
    labels = stack(3)
    limits = InstanceLimits(cutout=CUTOUT, vert_size_threshold=2000, corpus_size_cleaning=0, spacing=SPACING)
    size = int((vertebrae(labels) == 1).sum())
    assert 2000 < size < 2000 * 1.25**3
    assert run(labels, limits=limits).instances.max() == 3
    with pytest.raises(NoSpineError, match="recognised no vertebra"):
        segment_instances(
            labels, spacing=[s / 1.25 for s in SPACING], classify=by_cutouts(answer), limits=limits
        )


def test_masks_without_bodies_are_errors():
    empty = np.zeros((20, 20, 20), np.uint8)
    with pytest.raises(NoSpineError, match="no vertebral body"):
        run(empty)
    arch = empty.copy()
    arch[5:15, 5:15, 5:15] = 41
    with pytest.raises(NoSpineError, match="no vertebral body"):
        run(arch)
    thin = empty.copy()
    thin[5:15, 5:15, 5:8] = 49
    with pytest.raises(NoSpineError, match="thick enough"):
        run(thin)


def test_a_blind_network_is_an_error():
    with pytest.raises(NoSpineError, match="recognised no vertebra"):
        run(stack(3), predict=np.zeros_like)


@pytest.mark.parametrize(
    "predict",
    [lambda c: c[:, :-1], lambda c: answer(c).astype(np.int64), lambda c: answer(c) + np.uint8(2)],
    ids=["shape", "type", "classes"],
)
def test_a_wrong_answer_is_an_error(predict):
    with pytest.raises(ContractError, match="The instance network answered"):
        run(stack(3), predict=predict)


@pytest.mark.parametrize("count", [2, 4])
def test_an_answer_too_few_or_too_many_is_an_error(count):
    def classify(_labels, _table, _starts):
        return [np.zeros(CUTOUT, np.uint8)] * count

    with pytest.raises(ContractError, match="windows; expected 3"):
        segment_instances(stack(3), spacing=SPACING, classify=classify, limits=LIMITS)


@pytest.mark.parametrize(
    "limits",
    [
        InstanceLimits(cutout=(24, 47, 24)),
        InstanceLimits(cutout=(24, 48, 0)),
        InstanceLimits(mapping={49: 10}),
    ],
    ids=["odd", "flat", "label 10"],
)
def test_impossible_limits_are_errors(limits):
    with pytest.raises(ContractError, match=r"expected three even sizes|labels 0 to 9"):
        run(stack(3), limits=limits)


def test_arguments_are_verified():
    with pytest.raises(ContractError, match="expected a 3-dimensional uint8"):
        run(stack(3).astype(np.int64))
    with pytest.raises(ContractError, match="three positive lengths"):
        segment_instances(stack(3), spacing=(1.0, 0.0, 1.0), classify=by_cutouts(answer))
