"""The short form: each accident some twenty times, always the same ones."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.faults.cases import CASES, Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return Stage.made(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize("case", CASES)
def test_accidents_lose_and_mix_nothing(stage, case):
    rng, wrong = random.Random(case), Counter()
    for _ in range(20):
        number = len(list(stage.folder.iterdir()))
        wrong += CASES[case](stage, number, rng)
    assert dict(wrong) == {}
