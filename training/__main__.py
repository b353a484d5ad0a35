"""Everything in order: ``python -m training --data FOLDER``; an interrupted run goes on where it stopped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with spider/ and real/.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(data: Path, seed: int, threads: int) -> None:
    """Train both networks, export them, measure them and write the model card."""
    common = ["--seed", str(seed), "--threads", str(threads)]
    for module, arguments in (
        ("semantic", ["--data", str(data / "spider"), *common]),
        ("release", ["--only", "semantic"]),
        ("derive", ["--data", str(data), "--threads", str(threads)]),
        ("instance", common),
        ("release", []),
        ("selftest", []),
        ("evaluate", ["--data", str(data), "--threads", str(threads)]),
        ("card", []),
    ):
        subprocess.run([sys.executable, "-m", f"training.{module}", *arguments], check=True)


if __name__ == "__main__":
    main()
