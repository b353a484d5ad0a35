"""Every check trips on what it is for, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from spineps_rt import labels as L
from spineps_rt.errors import QualityError
from spineps_rt.kernels.moments import moments
from spineps_rt.quality.column import measure_column
from spineps_rt.quality.course import off_course, ratios_to_course
from spineps_rt.quality.image import image_facts
from spineps_rt.quality.judge import LIMITS, check_image, judge
from spineps_rt.quality.networks import MarginTable, NetworkEvidence, SeenTogether
from spineps_rt.quality.verdict import CHECK, GOOD, REJECT, Quality, Reason, judged
from spineps_rt.results import place_names
from spineps_rt.stages.reconcile.apart import Removed
from spineps_rt.volume import Volume

SPACING = (1.0, 1.0, 2.0)
PIR = np.array([[0, 0, -2.0, 30], [-1.0, 0, 0, 40], [0, -1.0, 0, 90], [0, 0, 0, 1]])
TOP, PITCH, HEIGHT = 12, 34, 27
LEVELS = (20, 21, 22, 23, 24)
GREY = {0: 150, L.CORPUS: 300, L.DISC: 250, L.CANAL: 800, L.SACRUM: 300, L.ARCUS: 200}
SURE = NetworkEvidence(None, ())


def spine():
    """Masks of L1 to L5 with discs, canal and sacrum, uint8 and uint16 (P, I, R)."""
    semantic = np.zeros((90, 300, 16), np.uint8)
    instances = np.zeros(semantic.shape, np.uint16)
    semantic[58:70, 2:280, 5:11] = L.CANAL
    for k, v in enumerate(LEVELS):
        top = TOP + PITCH * k
        put(semantic, instances, np.s_[25:55, top : top + HEIGHT, 2:14], L.CORPUS, v)
        put(semantic, instances, np.s_[25:55, top + HEIGHT : top + PITCH, 2:14], L.DISC, 100 + v)
        put(semantic, instances, np.s_[72:80, top : top + 20, 4:12], L.ARCUS, v)
    put(semantic, instances, np.s_[25:55, TOP + 5 * PITCH : TOP + 5 * PITCH + 90, 2:14], L.SACRUM, 26)
    return semantic, instances


def put(semantic, instances, box, structure, instance):
    semantic[box], instances[box] = structure, instance


def picture(semantic, *, seed=1):
    """A T2w image of a mask: neighbouring slices look alike, others less."""
    image = np.zeros(semantic.shape)
    for label, grey in GREY.items():
        image[semantic == label] = grey
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(10, 30, semantic.shape[2] + 4))
    coarse = sum(coarse[:, :, k : k + semantic.shape[2]] for k in range(5))
    texture = 40 * coarse.repeat(9, axis=0).repeat(10, axis=1)
    texture = texture[:, : image.shape[1]]
    return np.clip(np.rint(image + texture + rng.normal(0, 8, image.shape)), 1, 4000).astype(np.int16)


def verdicts(semantic, instances, *, image=None, evidence=SURE, removed=(), model="", affine=PIR):
    volume = Volume(picture(semantic) if image is None else image, affine)
    names = place_names(np.unique(instances).tolist(), anatomical=True)
    return judge(volume, (semantic, instances), names=names, evidence=evidence, removed=removed, model=model)


def kinds(quality):
    return {(reason.kind, reason.place): reason.verdict for reason in quality.alarms}


def test_a_good_result_is_good_everywhere():
    quality = verdicts(*spine())
    assert quality.alarms == ()
    assert quality.verdict == GOOD
    assert set(quality.places) == {*LEVELS, 26, *(100 + v for v in LEVELS)}
    assert set(quality.places.values()) == {GOOD}


@pytest.mark.parametrize("codes", ["LAS", "PIR"])
def test_orientation_does_not_matter(codes):
    semantic, instances = spine()
    put(semantic, instances, np.s_[25:55, TOP + 2 * PITCH : TOP + 2 * PITCH + 20, 2:14], 0, 0)
    volume = Volume(picture(semantic), PIR)
    names = place_names(np.unique(instances).tolist(), anatomical=True)
    from spineps_rt.volume import reorient  # noqa: PLC0415

    turned = [reorient(volume.with_array(a), tuple(codes)) for a in (volume.array, semantic, instances)]
    quality = judge(turned[0], (turned[1].array, turned[2].array), names=names, evidence=SURE)
    assert ("fragment", "L3") in kinds(quality)
    assert quality.places[22] != GOOD


def test_a_fragment_is_told_with_place_value_and_expectation():
    semantic, instances = spine()
    put(semantic, instances, np.s_[25:55, TOP + 2 * PITCH : TOP + 2 * PITCH + 20, 2:14], 0, 0)
    quality = verdicts(semantic, instances)
    reason = next(r for r in quality.alarms if r.kind == "fragment")
    assert (reason.place, reason.label) == ("L3", 22)
    assert reason.value == pytest.approx(7 / 27, abs=0.02)
    assert reason.expected.startswith("at least")
    assert "L3" in reason.text
    assert quality.places[22] != GOOD and quality.places[23] == GOOD


def test_a_body_cut_by_the_border_is_a_remark_and_no_alarm():
    semantic, instances = (mask[:, TOP + HEIGHT // 2 :] for mask in spine())
    quality = verdicts(semantic, instances)
    assert quality.verdict == GOOD
    assert [(r.kind, r.place, r.verdict) for r in quality.reasons] == [("cut", "L1", GOOD)]


def test_two_bodies_in_one_are_a_fusion_and_a_missing_disc():
    semantic, instances = spine()
    gap = np.s_[25:55, TOP + PITCH + HEIGHT : TOP + 2 * PITCH, 2:14]
    put(semantic, instances, gap, L.CORPUS, 21)
    instances[(instances == 22)] = 21
    instances[instances == 122] = 121
    found = kinds(verdicts(semantic, instances))
    assert ("fusion", "L2") in found and ("height", "L2") in found


def test_a_missing_and_a_doubled_disc():
    semantic, instances = spine()
    gap = np.s_[25:55, TOP + PITCH + HEIGHT : TOP + 2 * PITCH, 2:14]
    put(semantic, instances, gap, 0, 0)
    assert kinds(verdicts(semantic, instances)) == {("missing disc", "disc L2/L3"): CHECK}
    semantic, instances = spine()
    put(semantic, instances, np.s_[38:42, TOP + PITCH + HEIGHT : TOP + 2 * PITCH, 2:14], 0, 0)
    assert kinds(verdicts(semantic, instances)) == {("doubled disc", "disc L2/L3"): CHECK}


def test_a_vertebra_that_is_missing_leaves_a_gap():
    semantic, instances = spine()
    semantic[instances == 22], instances[instances == 22] = 0, 0
    assert ("gap", "L4") in kinds(verdicts(semantic, instances))


def test_a_vertebra_beside_the_column_is_off_course_and_far_from_the_canal():
    semantic, instances = spine()
    body = np.s_[25:55, TOP + 2 * PITCH : TOP + 2 * PITCH + HEIGHT, 2:14]
    put(semantic, instances, body, 0, 0)
    put(semantic, instances, np.s_[2:20, TOP + 2 * PITCH : TOP + 2 * PITCH + HEIGHT, 2:14], L.CORPUS, 22)
    found = kinds(verdicts(semantic, instances))
    assert found["off course", "L3"] == REJECT
    assert ("far from canal", "L3") in found


def test_a_sacrum_that_swallowed_l5_is_too_tall():
    semantic, instances = spine()
    grown = np.s_[25:55, TOP + 4 * PITCH : TOP + 5 * PITCH, 2:14]
    put(semantic, instances, grown, L.SACRUM, 26)
    put(semantic, instances, np.s_[25:55, 270:298, 2:14], L.SACRUM, 26)
    found = kinds(verdicts(semantic, instances))
    assert ("tall sacrum", "sacrum") in found


def test_wrong_voxel_sizes_and_few_vertebrae():
    semantic, instances = spine()
    doubled = PIR.copy()
    doubled[:3, :2] *= 2
    assert kinds(verdicts(semantic, instances, affine=doubled))["vertebra distance", "scan"] == REJECT
    semantic[:, TOP + 2 * PITCH :], instances[:, TOP + 2 * PITCH :] = 0, 0
    assert kinds(verdicts(semantic, instances))["few vertebrae", "scan"] == CHECK


def test_a_canal_with_a_gap():
    semantic, instances = spine()
    semantic[58:70, 80:140] = 0
    assert ("canal gap", "spinal canal") in kinds(verdicts(semantic, instances))


def test_left_against_right():
    semantic, instances = spine()
    wide = PIR.copy()
    wide[:3, 2] *= 2
    put(semantic, instances, np.s_[72:84, TOP : TOP + 100, 1:4], L.COSTAL_LEFT, 20)
    assert ("lopsided", "scan") in kinds(verdicts(semantic, instances, affine=wide))
    assert ("lopsided", "scan") not in kinds(verdicts(semantic, instances))  # too narrow to say
    put(semantic, instances, np.s_[72:84, TOP : TOP + 100, 12:15], L.COSTAL_RIGHT, 20)
    assert ("lopsided", "scan") not in kinds(verdicts(semantic, instances, affine=wide))


def test_what_was_taken_away_is_a_reason_if_it_is_much():
    masks = spine()
    little = verdicts(*masks, removed=[Removed(L.DISC, 0.3, 60, "above")])
    assert little.verdict == GOOD and little.reasons[0].kind == "apart"
    assert verdicts(*masks, removed=[Removed(L.SACRUM, 59.0, 60, "below")]).verdict == GOOD
    much = [Removed(L.CORPUS, 59.0, 60, "in front of"), Removed(L.DISC, 1.0, 60, "above")]
    assert ("apart", "vertebral body") in kinds(verdicts(*masks, removed=much))


def shuffled(image):
    return image[:, :, [*range(0, 16, 2), *range(1, 16, 2)]]


def mirrored(image):
    half = image.copy()
    half[:, -150:] = image[:, 149::-1]
    return half


def spiked(image):
    out = image.astype(np.float32)
    out[1, 2, 3] = 1e6
    return out


def zero_slices(image):
    out = image.copy()
    out[:, :, 7:9] = 0
    return out


def half_empty(image):
    out = image.copy()
    out[:, : TOP - 2] = 0
    out[:, :60] = 0
    return out


DAMAGES = {
    "slice order": shuffled,
    "mirrored": mirrored,
    "spike": spiked,
    "empty slices": zero_slices,
    "grey levels": lambda image: (image // 300).astype(np.int16),
    "contrast": lambda image: (1200 - image.clip(0, 1150)).astype(np.int16),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_to_the_image_is_told_by_its_name(kind):
    semantic, instances = spine()
    found = kinds(verdicts(semantic, instances, image=DAMAGES[kind](picture(semantic))))
    assert (kind, "scan") in found


def test_a_spine_that_runs_into_nothing():
    semantic, instances = spine()
    image = picture(semantic)
    image[:, :60] = 0
    semantic[:, :61], instances[:, :61] = 0, 0
    assert ("no signal", "scan") in kinds(verdicts(semantic, instances, image=image))


def test_three_slices_say_nothing_about_their_order():
    semantic, _ = spine()
    facts = image_facts(picture(semantic)[:, :, :3], semantic[:, :, :3], spacing=SPACING)
    assert np.isnan(facts.stray)
    assert not any(r.kind == "slice order" for r in check_image(facts, LIMITS.image))


def network(body=0.9, near_l3=0.9, dice=0.97):
    """Rows of 1 mm along I; of bodies and discs the margins given."""
    table = np.zeros((3, 300, 2))
    table[1:, :, 0] = 100
    table[1:, :, 1] = 100 * body
    middle = TOP + 2 * PITCH
    table[1, middle : middle + HEIGHT, 1] = 100 * near_l3
    margins = MarginTable(np.array([0, L.CORPUS, L.DISC], np.uint8), table, np.array([0.0, 0, -1, 90]))
    points = [PIR[:3, :3] @ (40, TOP + PITCH * k + 13, 8) + PIR[:3, 3] for k in range(5)]
    seen = [SeenTogether(tuple(p), 3, dice if k == 2 else 0.97) for k, p in enumerate(points)]
    return NetworkEvidence(margins, tuple(seen))


def test_networks_that_are_sure_raise_no_alarm():
    assert verdicts(*spine(), evidence=network(), model="t2w_semantic").verdict == GOOD


def test_a_network_that_hardly_knows_is_not_trusted():
    found = kinds(verdicts(*spine(), evidence=network(0.02, 0.02), model="t2w_semantic"))
    assert found["margin", "vertebral body"] == REJECT
    assert ("margin", "intervertebral disc") in found


def test_doubt_has_a_place():
    quality = verdicts(*spine(), evidence=network(near_l3=0.02), model="t2w_semantic")
    assert set(kinds(quality)) == {("margin", "L3")}
    assert quality.doubtful == (22,)
    quality = verdicts(*spine(), evidence=network(dice=0.2), model="t2w_semantic")
    assert set(kinds(quality)) == {("agreement", "L3")}


def test_margins_of_an_unknown_network_are_not_judged():
    assert verdicts(*spine(), evidence=network(0.02, 0.02, 0.1), model="another").verdict == GOOD


def test_the_course_is_not_bent_by_one_that_departs():
    values = np.array([10.0, 11, 12, 40, 14, 15, 16])
    ratios = ratios_to_course(values, np.ones(7, bool))
    assert ratios[3] == pytest.approx(40 / 13, rel=0.05)
    assert np.delete(ratios, 3) == pytest.approx(np.ones(6), abs=0.25)
    assert np.isnan(ratios_to_course(values[:2], np.ones(2, bool))).all()


def test_off_course_is_the_distance_from_the_neighbours_line():
    centres = np.array([[0.0, 0, 0], [3, 10, 4], [0, 20, 0]])
    assert off_course(centres)[1] == pytest.approx(5)
    assert np.isnan(off_course(centres)[[0, 2]]).all()


def test_parts_are_measured_along_the_column():
    semantic, instances = spine()
    column = measure_column(semantic, instances, spacing=SPACING)
    assert [part.label for part in column.bodies] == list(LEVELS)
    body = column.bodies[2]
    assert (body.height, body.depth, body.width) == pytest.approx((HEIGHT, 30, 24), rel=1e-6)
    assert body.ml == pytest.approx(HEIGHT * 30 * 24 / 1000)
    assert column.pitches == pytest.approx(np.full(4, PITCH))
    assert column.discs[22].height == pytest.approx(PITCH - HEIGHT)
    assert column.sacrum is not None and column.sacrum.height == pytest.approx(90)


def test_empty_masks_can_be_measured():
    nothing = np.zeros((4, 5, 6), np.uint8)
    column = measure_column(nothing, nothing.astype(np.uint16), spacing=SPACING)
    assert column.bodies == () and column.discs == {} and column.sacrum is None


def test_moments_equal_numpy():
    ids = np.random.default_rng(2).integers(0, 4, (7, 9, 11)).astype(np.uint16)
    found = moments(ids, 5)
    for label in (1, 2, 3):
        places = np.argwhere(ids == label)
        assert found.sizes[label] == len(places)
        np.testing.assert_allclose(found.centres[label], places.mean(axis=0))
        np.testing.assert_allclose(found.spreads[label], np.cov(places.T, bias=True), atol=1e-9)
    assert found.sizes[5] == 0 and np.isnan(found.spreads[5]).all()


def reason(verdict, label=None):
    return Reason(verdict, "test", "L4" if label else "scan", 0.5, "more", f"this is {verdict}", label)


def test_the_worst_reason_makes_the_verdict():
    assert Quality().verdict == GOOD
    quality = judged([reason(GOOD, 23), reason(CHECK, 23)], [22, 23])
    assert (quality.verdict, dict(quality.places)) == (CHECK, {22: GOOD, 23: CHECK})
    worse = quality.with_reasons([reason(REJECT)])
    assert (worse.verdict, worse.places[23], worse.reasons[0].verdict) == (REJECT, CHECK, REJECT)
    assert quality.verdict == CHECK


@pytest.mark.parametrize(
    ("verdict", "refused", "fails"),
    [(GOOD, CHECK, False), (CHECK, CHECK, True), (CHECK, REJECT, False), (REJECT, CHECK, True),
     (REJECT, REJECT, True)],
)  # fmt: skip
def test_a_verdict_can_be_demanded(verdict, refused, fails):
    quality = judged([reason(verdict)], [])
    if not fails:
        quality.demand(refused)
        return
    with pytest.raises(QualityError, match=f"{verdict}.*this is {verdict}"):
        quality.demand(refused)


def test_the_record_names_places():
    record = judged([reason(CHECK, 23)], [23, 123]).as_record({23: "L4", 123: "disc L4/L5"})
    assert record["verdict"] == CHECK
    assert record["places"] == {"L4": CHECK, "disc L4/L5": GOOD}
    assert record["reasons"][0] == {
        "verdict": CHECK,
        "kind": "test",
        "place": "L4",
        "value": 0.5,
        "expected": "more",
        "text": "this is check",
    }


def test_what_reaches_rows_without_signal_is_cut():
    semantic, instances = spine()
    image = picture(semantic)
    first = TOP + HEIGHT - 9
    image[:, :first] = 0
    semantic[:, :first], instances[:, :first] = 0, 0
    image[:, first:][image[:, first:] == 0] = 1
    quality = verdicts(semantic, instances, image=image)
    assert ("fragment", "L1") not in kinds(quality)
    assert "cut" in {reason.kind for reason in quality.reasons if reason.label == 20}
