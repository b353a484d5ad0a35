"""Run from a bare checkout: what setup.cfg's ``package_dir`` maps is imported from where it lies."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
MAPPED = {"spineps_rt.engines": "engines", "spineps_rt.export": "export"}
"""Package -> folder, as in setup.cfg."""


class _Mapped:
    """Finds the packages that lie beside the package that they belong to."""

    def find_spec(self, name: str, _path: Any = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Answer for the packages of :data:`MAPPED`; their modules are found in the package's own folder."""
        if name not in MAPPED:
            return None
        folder = ROOT / MAPPED[name]
        return importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def link_checkout() -> bool:
    """Make the checkout importable unless the package is installed.

    The one small package that everything needs is stood in for where it is missing: platformdirs.

    Returns:
        Whether it was linked.
    """
    if importlib.util.find_spec("platformdirs") is None:
        sys.modules["platformdirs"] = _user_folders()
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    if all(importlib.util.find_spec(name) for name in MAPPED):
        return False
    sys.meta_path.insert(0, _Mapped())  # type: ignore[arg-type]
    return True


def _user_folders() -> ModuleType:
    """Linux's answers of platformdirs."""
    module = ModuleType("platformdirs")
    for name, folder in (("user_cache_path", ".cache"), ("user_data_path", ".local/share")):
        setattr(module, name, lambda app, folder=folder, **_: Path.home() / folder / app)
    return module
