"""Lowest versions that setup.cfg allows, as constraints: ``python tests/lowest.py > tests/lowest.txt``."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

HEAD = "# Made by tests/lowest.py from setup.cfg: pip install -c tests/lowest.txt -e '.[test]'"
_BOUND = re.compile(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)")


def constraints() -> str:
    """Pin what a run and the tests need to its lowest version.

    Returns:
        Lines for ``pip install --constraint``, in the order of their names.
    """
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    wanted = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
    bounds = [_BOUND.match(line.strip()) for line in wanted.splitlines()]
    pins = {f"{bound[1]}=={bound[2]}" for bound in bounds if bound}
    return "\n".join([HEAD, *sorted(pins), ""])


if __name__ == "__main__":
    print(constraints(), end="")
