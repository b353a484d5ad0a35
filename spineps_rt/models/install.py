"""Models into the store and out of it: whole or not at all."""

from __future__ import annotations

from pathlib import Path

from spineps_rt.errors import ModelError, OutputExistsError
from spineps_rt.io.atomic import new_folder, remove_folder, write_new
from spineps_rt.models.archive import only
from spineps_rt.models.manifest import MANIFEST, read_manifest
from spineps_rt.models.resolve import embedded_folders, read_file
from spineps_rt.models.store import PLAIN_NAME, installed_folders, store_folder

CONFIG = "inference_config.json"
"""What a model of SPINEPS has where a model of this runtime has its manifest."""


def exported_folder(folder: Path, source: Path) -> Path | None:
    """Look for a model of this runtime.

    Args:
        folder: Where to look; it may lie deeper.
        source: How messages call the folder.

    Returns:
        The model's folder; None where there is a model of SPINEPS, still to be exported.

    Raises:
        ModelError: There is neither, or there are several.
    """
    if not any(folder.glob(f"**/{MANIFEST}")) and any(folder.glob(f"**/{CONFIG}")):
        return None
    if not any(folder.glob(f"**/{MANIFEST}")):
        raise ModelError(
            f"{source} holds neither {MANIFEST}, as models of this runtime do, nor {CONFIG}, as models of "
            "SPINEPS do. Name a model folder or a zip file of one."
        )
    return only(folder, MANIFEST, source).parent


def install(folder: Path, *, name: str | None = None, overwrite: bool = False) -> Path:
    """Copy a model into the store: the files that its manifest lists, each verified, and nothing else.

    Args:
        folder: A model folder.
        name: What to call it; the manifest's name unless given.
        overwrite: An installed model of that name may be replaced.

    Returns:
        The folder in the store.

    Raises:
        ModelError: The model is damaged, or the name cannot be a model's.
        OutputExistsError: Something of that name is there.
        OutputError: The store cannot be written; it is as it was.
    """
    model = read_manifest(folder)
    target = place_for(name or model.name, overwrite=overwrite)
    with new_folder(target, overwrite=overwrite) as staged:
        for file in model.files:
            write_new(staged / file, read_file(model, file))
        write_new(staged / MANIFEST, (folder / MANIFEST).read_bytes())
    return target


def place_for(name: str, *, overwrite: bool) -> Path:
    """Find where a model of a name would be installed.

    Raises:
        ModelError: The name is no plain one, or that of an embedded model.
        OutputExistsError: Something of that name is there, and it is no model or ``overwrite`` is false.
    """
    if not PLAIN_NAME.fullmatch(name):
        raise ModelError(
            f"A model cannot be called {name!r}: a name has letters, digits and '_', and behind the first of "
            "them '-' and '.'. Give another with --name."
        )
    if any(name in (folder.name, read_manifest(folder).name) for folder in embedded_folders()):
        raise ModelError(f"{name!r} is the name of an embedded model. Give another with --name.")
    target = store_folder() / name
    if target.exists() and not (target / MANIFEST).is_file():
        raise OutputExistsError(f"{target} is there and is no model. Give another name with --name.")
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} is installed already; pass --overwrite or another --name.")
    return target


def installed(name: str) -> Path:
    """Find an installed model by its name.

    Raises:
        ModelError: None of that name is in the store.
    """
    found = {folder.name: folder for folder in installed_folders()}
    if name not in found:
        names = ", ".join(found) or "none"
        raise ModelError(f"No model {name!r} is installed in {store_folder()}; installed are: {names}.")
    return found[name]


def remove(name: str) -> None:
    """Take an installed model away. Embedded models, and folders outside the store, it cannot reach.

    Raises:
        ModelError: None of that name is in the store.
        OutputError: It may not be removed.
    """
    remove_folder(installed(name))
