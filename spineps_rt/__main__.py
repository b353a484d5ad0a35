"""``python -m spineps_rt`` is ``spineps-rt``."""

from spineps_rt.cli.main import main

if __name__ == "__main__":
    main()
