"""Where installed models lie: one folder each, and its name is the model's."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

from spineps_rt.errors import ModelError
from spineps_rt.machine import user_folder
from spineps_rt.models.manifest import MANIFEST

VARIABLE = "SPINEPS_RT_MODELS"
"""Environment variable that names the store."""

PLAIN_NAME = re.compile(r"\w[\w.-]*")
"""What a model of the store may be called; what is not whole yet begins with a dot."""


def store_folder() -> Path:
    """Find the store; it need not exist.

    Returns:
        What ``SPINEPS_RT_MODELS`` says, else a folder where this platform keeps a user's data.

    Raises:
        ModelError: The user has no home folder.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser().absolute()
    folder = user_folder(user_data_path)
    if folder is None:
        raise ModelError(f"There is no home folder to keep models in; set {VARIABLE} to a folder.")
    return folder / "models"


def installed_folders() -> list[Path]:
    """List the model folders of the store in the order of their names."""
    found = [path.parent for path in sorted(store_folder().glob(f"*/{MANIFEST}"))]
    return [folder for folder in found if PLAIN_NAME.fullmatch(folder.name)]
