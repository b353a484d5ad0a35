"""``python -m benchmarks.gpu_tests FILE...``: tests in a bare checkout, without ``conftest.py``."""

from __future__ import annotations

import sys

from benchmarks.checkout import ROOT, link_checkout


def main() -> int:
    """Run pytest on files of ``tests``; returns its exit code."""
    link_checkout()
    import pytest  # noqa: PLC0415 (not every machine has it)

    files = [str(path) for name in sys.argv[1:] for path in (ROOT / "tests").rglob(name)]
    return int(pytest.main(["--noconftest", "-q", "-ra", "-p", "no:cacheprovider", *files]))


if __name__ == "__main__":
    sys.exit(main())
