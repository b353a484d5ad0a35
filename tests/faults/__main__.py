"""``python -m tests.faults --hours H``: accidents at random times, and what they left, counted."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from tests.faults.cases import CASES, KINDS, Stage


@click.command()
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True)
@click.option("--seed", type=int, help="For the same accidents again [default: another every time].")
def faults(hours: float, seed: int | None) -> None:
    """Let accidents happen to writers of result sets, over and over; leave with 1 if one did harm."""
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    rng, until = random.Random(seed), time.monotonic() + 3600 * hours
    done, wrong = Counter(), {case: Counter() for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage.made(Path(folder))
        while time.monotonic() < until:
            case = rng.choice(list(CASES))
            found = CASES[case](stage, done.total(), rng)
            place = stage.folder / f"case-{done.total()}"
            done[case] += 1
            wrong[case] += found
            if found:
                click.echo(f"{case} {place.name}: {dict(found)}: {sorted(p.name for p in place.iterdir())}")
            shutil.rmtree(place)
    click.echo(f"seed {seed}\n{'':<18}{'times':>8}" + "".join(f"{kind:>12}" for kind in KINDS))
    for case in CASES:
        click.echo(f"{case:<18}{done[case]:>8}" + "".join(f"{wrong[case][kind]:>12}" for kind in KINDS))
    sys.exit(1 if any(count.total() for count in wrong.values()) else 0)


if __name__ == "__main__":
    faults()
