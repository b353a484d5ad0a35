"""Runs side by side: in order, bounded, and with the masks of single runs."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import tiny_scan
from spineps_rt.errors import MissingFileError, NotFiniteError
from spineps_rt.options import EngineOptions, Options
from spineps_rt.overlap import ThreeStages
from spineps_rt.pipeline import Pipeline

PATIENCE = 30  # seconds until a test that waits for another thread gives up


def stages(*, log=None, fails=None, waits=None, returns=None):
    """Stages that note items and threads; fails: (item, stage); waits: (item, stage) -> what to do."""

    def stage(which):
        def take(item):
            if log is not None:
                log.append((item, which, threading.current_thread()))
            if (item, which) == fails:
                raise ValueError(item)
            (waits or {}).get((item, which), lambda: None)()
            return returns(item) if returns and which == 3 else item

        return take

    return ThreeStages(stage(1), stage(2), stage(3))


def test_one_item_goes_through_all_stages():
    assert stages().run("a") == "a"
    with pytest.raises(ValueError, match="b"):
        stages(fails=("b", 2)).run("b")


def test_one_by_one_stays_in_the_callers_thread():
    log = []
    done = list(stages(log=log, fails=(1, 2)).one_by_one(range(3)))
    assert [future.exception() is None for future in done] == [True, False, True]
    assert (done[0].result(), done[2].result()) == (0, 2)
    assert {thread for _, _, thread in log} == {threading.current_thread()}
    assert [entry[:2] for entry in log] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_answers_come_in_order(count):
    assert [done.result() for done in stages().overlap(range(count))] == list(range(count))


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_failure_comes_in_its_place_and_stops_nothing(stage, bad):
    for k, done in enumerate(stages(fails=(str(bad), stage)).overlap(map(str, range(4)))):
        assert done.done()
        if k == bad:
            with pytest.raises(ValueError, match=str(bad)):
                done.result()
        else:
            assert done.result() == str(k)


def test_each_stage_has_its_thread_and_no_item_is_far_ahead_or_behind():
    log = []
    for _ in stages(log=log).overlap(range(6)):
        pass
    threads = [{thread for _, part, thread in log if part == which} for which in (1, 2, 3)]
    assert threads[1] == {threading.current_thread()}
    assert len(set.union(*threads)) == 3
    place = {(name, part): i for i, (name, part, _) in enumerate(log)}
    for k in range(2, 6):
        assert place[k, 1] > place[k - 2, 2], "read before the scan two before it had entered the networks"
        assert place[k, 3] > place[k - 1, 3], "finished out of order"
    for k in range(4):
        assert place[k + 2, 2] > place[k, 3], "two scans were behind"


def test_networks_of_one_item_beside_the_others_first_and_last_stage():
    """The second item's networks wait until the third is read and the first finished."""
    read, finished = threading.Event(), threading.Event()

    def wait_for_both():
        assert read.wait(PATIENCE)
        assert finished.wait(PATIENCE)

    waits = {("second", 2): wait_for_both, ("third", 1): read.set, ("first", 3): finished.set}
    for done in stages(waits=waits).overlap(["first", "second", "third"]):
        done.result()


def test_an_interrupt_in_the_networks_lets_the_item_behind_finish():
    log = []

    def interrupt():
        raise KeyboardInterrupt

    names = ["behind", "interrupted", "ahead", "later"]
    with pytest.raises(KeyboardInterrupt):
        list(stages(log=log, waits={("interrupted", 2): interrupt}).overlap(names))
    assert [part for name, part, _ in log if name == "behind"] == [1, 2, 3]
    assert [part for name, part, _ in log if name == "ahead"] == [1]
    assert not [part for name, part, _ in log if name == "later"]


def test_what_the_caller_lets_go_is_free():
    class Large:
        pass

    alive = []
    for done in stages(returns=lambda _: Large()).overlap(range(6)):
        alive.append(weakref.ref(done.result()))
        del done
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 1


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    models = tiny_scan.write_models(tmp_path_factory.mktemp("models"))
    with Pipeline(models, options=Options(engine=EngineOptions("onnx", threads=1))) as opened:
        yield opened


def test_masks_are_those_of_single_runs_and_bad_scans_are_told(pipeline, tmp_path):
    image = tiny_scan.image()
    arrays = [image, image[:, 6:], np.where(image > 500, 0, image), image[4:]]
    scans = [tiny_scan.write_scan(tmp_path / f"sub-{k}_T2w.nii.gz", a) for k, a in enumerate(arrays)]
    singles = [pipeline.run(scan) for scan in scans]
    assert len({single.instances.array.tobytes() for single in singles}) == 4
    sick = tiny_scan.write_scan(tmp_path / "sub-sick_T2w.nii.gz", np.where(image > 500, np.nan, image))
    together = list(pipeline.run_many([tmp_path / "gone.nii.gz", *scans[:2], sick, *scans[2:]]))
    assert isinstance(together.pop(0).exception(), MissingFileError)
    assert isinstance(together.pop(2).exception(), NotFiniteError)
    for single, done in zip(singles, together, strict=True):
        many = done.result()
        assert np.array_equal(many.semantic.array, single.semantic.array)
        assert np.array_equal(many.instances.array, single.instances.array)
        assert many.centroids.points == single.centroids.points
        assert many.source == single.source
        assert tuple(many.seconds) == tuple(single.seconds)
