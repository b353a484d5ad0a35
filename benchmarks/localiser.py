"""Tiles that the localiser saves and what it costs: every tile, chosen tiles, and a coarse pass as its rival.

``python -m benchmarks.localiser --case NAME`` adds one case to results/localiser.json, so that each may be
timed alone; ``--list`` names them. Both runs see one prepared volume; the spine is what cleaning leaves of the
full run's answer. The coarse pass runs the same network at twice the spacing in plane and would run the tiles
within 10 mm of what it finds.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

from benchmarks.run_latency import machine
from spineps_rt.engine import Engine, open_engine
from spineps_rt.engine.tiling import TilePlan, plan_tiles
from spineps_rt.errors import NoSpineError
from spineps_rt.options import SemanticOptions
from spineps_rt.phantom import PhantomOptions, Variants, make_phantom
from spineps_rt.stages.predict import SMALLEST, predict_semantic
from spineps_rt.stages.semantic import clean
from spineps_rt.volume import Volume, bounding_box, rescale
