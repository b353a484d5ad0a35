"""Find, verify and pair model folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from spineps_rt.errors import ModelError
from spineps_rt.models.manifest import (
    MANIFEST,
    InstanceModel,
    Model,
    SemanticModel,
    TensorSpec,
    read_manifest,
)
from spineps_rt.models.store import installed_folders, store_folder

__all__ = [
    "InstanceModel",
    "Model",
    "ModelPair",
    "SemanticModel",
    "TensorSpec",
    "default_models",
    "embedded_folders",
    "embedded_models",
    "find_model",
    "load_model",
    "read_file",
    "read_graph",
    "resolve_models",
    "select_variant",
    "verify_folder",
]

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class ModelPair:
    """The two networks of a run."""

    semantic: SemanticModel
    instance: InstanceModel


def load_model(name_or_folder: str | Path) -> SemanticModel | InstanceModel:
    """Load one model and verify its graphs; other variants are verified when they are read.

    Args:
        name_or_folder: A model folder, or the name of an embedded or installed model; behind an ``@`` the
            variant that shall run, for instance ``t2w@fp16.b4``.

    Returns:
        The model.

    Raises:
        ModelError: There is no such model or variant, or it is damaged; the message says which file and why.
    """
    name, at, variant = str(name_or_folder).rpartition("@")
    if at and not Path(name_or_folder).is_dir():
        return select_variant(load_model(name), variant)
    model = read_manifest(find_model(name_or_folder))
    for name in model.graphs:
        read_file(model, name)
    return model


def find_model(name_or_folder: str | Path) -> Path:
    """Find a model's folder; nothing of it is verified.

    Args:
        name_or_folder: A folder, or the name of an embedded or installed model.

    Returns:
        The folder.

    Raises:
        ModelError: There is no such model, or there are several; the message lists what there is.
    """
    if Path(name_or_folder).is_dir():
        return Path(name_or_folder)
    name = str(name_or_folder)
    embedded = {folder: read_manifest(folder).name for folder in embedded_folders()}
    installed = {folder: folder.name for folder in installed_folders()}
    found = [f for f, own in {**embedded, **installed}.items() if name in (f.name, own)]
    if not found:
        raise ModelError(
            f"There is no model {name!r}: it is no folder; embedded are: {_listed(embedded)}; "
            f"installed in {store_folder()} are: {_listed(installed)}."
        )
    if len(found) > 1:
        folders = ", ".join(map(str, found))
        raise ModelError(f"{len(found)} models are called {name!r} ({folders}); name the folder of one.")
    return found[0]


def verify_folder(folder: Path) -> list[str]:
    """Hash every file of a model folder.

    Args:
        folder: The model folder.

    Returns:
        What is wrong, a sentence a file; nothing where all is well.
    """
    problems = []
    try:
        model = read_manifest(folder)
    except ModelError as error:
        return [str(error)]
    for name in model.files:
        try:
            read_file(model, name)
        except ModelError as error:
            problems.append(str(error))
    return problems


def select_variant(model: M, name: str) -> M:
    """Choose a variant of a model: what opens the model afterwards opens that one.

    Args:
        model: Any variant of it.
        name: One of ``model.variants``, or empty for float32 with a batch of one.

    Returns:
        The model; shapes of input and output have the variant's batch.

    Raises:
        ModelError: The model has no such variant.
    """
    if name and name not in model.variants:
        known = ", ".join(model.variants) or "none"
        raise ModelError(
            f"Model {model.name!r} ({model.folder}) has no variant {name!r}; it has: {known}. "
            f"Make it with: spineps-rt export model {model.folder} -o NEW_FOLDER --precision ... --batch ..."
        )
    batch = model.variants[name].batch if name else 1
    ends = [replace(spec, shape=(batch, *spec.shape[1:])) for spec in (model.input, model.output)]
    return replace(model, variant=name, input=ends[0], output=ends[1])


def read_graph(model: Model) -> bytes:
    """Read the graph of a model's variant, verified: what is returned is what was hashed.

    Engines take these bytes and never the path, so a file that is swapped after loading is noticed, and a
    graph cannot name further files beside it.

    Args:
        model: The model, of one graph (:func:`~spineps_rt.backends.folds.each_fold`).

    Returns:
        The serialised ONNX graph.

    Raises:
        ModelError: The file is missing or is not the one that the manifest describes.
    """
    (name,) = model.graphs
    return read_file(model, name)


def embedded_models() -> list[SemanticModel | InstanceModel]:
    """Load the models that ship with the package, in the order of their folders' names."""
    return [load_model(folder) for folder in embedded_folders()]


def default_models(modality: str = "T2w") -> ModelPair:
    """Choose the embedded models for a modality.

    Args:
        modality: The scan's modality as manifests spell it.

    Returns:
        The first embedded semantic model of that modality and the first embedded instance model.

    Raises:
        ModelError: No embedded model fits.
    """
    return ModelPair(_default_semantic(modality), _default_instance())


def resolve_models(name_or_folder: str | Path | None = None, *, modality: str = "T2w") -> ModelPair:
    """Turn what a user gave as ``--model`` into a semantic and an instance model.

    Args:
        name_or_folder: None for the embedded models; the name of an embedded or installed model; a model
            folder; either with an ``@VARIANT``; several of these with commas between; or a folder that holds
            model folders. One of a kind at most; the embedded models fill what is missing.
        modality: Chooses among embedded semantic models.

    Returns:
        The pair.

    Raises:
        ModelError: Nothing usable was given, a model is damaged, or the choice is ambiguous.
    """
    if name_or_folder is None:
        return default_models(modality)
    semantic: list[SemanticModel] = []
    instance: list[InstanceModel] = []
    for model in _models_in(name_or_folder):
        if isinstance(model, SemanticModel):
            semantic.append(model)
        else:
            instance.append(model)
    for kind, models in (("semantic", semantic), ("instance", instance)):
        if len(models) > 1:
            found = ", ".join(str(m.folder.name) for m in models)
            raise ModelError(
                f"{name_or_folder} holds {len(models)} {kind} models ({found}); name one of them."
            )
    return ModelPair(
        semantic[0] if semantic else _default_semantic(modality),
        instance[0] if instance else _default_instance(),
    )


def _models_in(name_or_folder: str | Path) -> list[SemanticModel | InstanceModel]:
    folder = Path(name_or_folder)
    if not folder.is_dir():
        return [load_model(part) for part in str(name_or_folder).split(",")]
    if (folder / MANIFEST).is_file():
        return [load_model(folder)]
    inside = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if not inside:
        raise ModelError(
            f"{folder} is no model folder: neither it nor a folder in it holds a {MANIFEST}. "
            "Name a folder that the export step wrote, or a model of `spineps-rt models list`."
        )
    return [load_model(path) for path in inside]


def embedded_folders() -> list[Path]:
    """List the folders of the models that ship with the package, in the order of their names."""
    import spineps_rt.engines  # noqa: PLC0415 (package data only; kept out of the import of this module)

    root = Path(spineps_rt.engines.__file__ or "").parent
    return [path.parent for path in sorted(root.glob(f"*/{MANIFEST}"))]


def _listed(models: dict[Path, str]) -> str:
    return ", ".join(models.values()) or "none"


def _default_semantic(modality: str) -> SemanticModel:
    models = [m for m in embedded_models() if isinstance(m, SemanticModel)]
    fitting = [m for m in models if modality in m.modalities]
    if not fitting:
        known = ", ".join(f"{m.name} ({', '.join(m.modalities)})" for m in models) or "none"
        raise ModelError(
            f"No embedded semantic model is made for {modality} images; embedded are: {known}. "
            "Name a model folder that is."
        )
    return fitting[0]


def _default_instance() -> InstanceModel:
    for model in embedded_models():
        if isinstance(model, InstanceModel):
            return model
    raise ModelError("No instance model is embedded in this installation. Name a folder that holds one.")


def read_file(model: Model, name: str) -> bytes:
    """Read a file of a model folder, verified.

    Args:
        model: The model.
        name: One of its ``files``.

    Returns:
        The content.

    Raises:
        ModelError: The file is missing or is not the one that the manifest describes.
    """
    path, spec = model.folder / name, model.files[name]
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size == spec.size else b""
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}). Copy or export the model again."
        ) from error
    if size != spec.size:
        raise ModelError(
            f"{path} has {size} bytes; its manifest says {spec.size}. Copy or export the model again."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise ModelError(
            f"{path} is damaged: its SHA-256 is {digest[:12]}..., its manifest says {spec.sha256[:12]}.... "
            "Copy or export the model again."
        )
    return content
