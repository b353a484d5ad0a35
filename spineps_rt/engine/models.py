"""Find, verify and pair model folders."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from spineps_rt.engine.manifest import (
    MANIFEST,
    InstanceModel,
    Model,
    SemanticModel,
    TensorSpec,
    read_manifest,
)
from spineps_rt.errors import ModelError

__all__ = [
    "InstanceModel",
    "Model",
    "ModelPair",
    "SemanticModel",
    "TensorSpec",
    "default_models",
    "embedded_models",
    "load_model",
    "read_graph",
    "resolve_models",
    "select_variant",
]

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class ModelPair:
    """The two networks of a run."""

    semantic: SemanticModel
    instance: InstanceModel


def load_model(name_or_folder: str | Path) -> SemanticModel | InstanceModel:
    """Load one model and verify its graph; other variants are verified when they are read.

    Args:
        name_or_folder: A model folder, or the name of an embedded model.

    Returns:
        The model.

    Raises:
        ModelError: There is no such model, or it is damaged; the message says which file and why.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        folder = _embedded_folder(str(name_or_folder))
    model = read_manifest(folder)
    read_graph(model)
    return model


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
            f"Make it with: spineps-rt export {model.folder} -o NEW_FOLDER --precision ... --batch ..."
        )
    batch = model.variants[name].batch if name else 1
    ends = [replace(spec, shape=(batch, *spec.shape[1:])) for spec in (model.input, model.output)]
    return replace(model, variant=name, input=ends[0], output=ends[1])


def read_graph(model: Model) -> bytes:
    """Read the graph of a model's variant, verified: what is returned is what was hashed.

    Engines take these bytes and never the path, so a file that is swapped after loading is noticed, and a
    graph cannot name further files beside it.

    Args:
        model: The model.

    Returns:
        The serialised ONNX graph.

    Raises:
        ModelError: The file is missing or is not the one that the manifest describes.
    """
    return _verified(model, model.graph)


def embedded_models() -> list[SemanticModel | InstanceModel]:
    """Load the models that ship with the package, in the order of their folders' names."""
    return [load_model(folder) for folder in _embedded_folders()]


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
        name_or_folder: None for the embedded models; an embedded model's name; a model folder; or a folder
            that holds model folders, one of a kind at most. The embedded models fill what is missing.
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
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return [load_model(name_or_folder)]
    inside = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if not inside:
        raise ModelError(
            f"{folder} is no model folder: neither it nor a folder in it holds a {MANIFEST}. "
            "Name a folder that the export step wrote, or one of the embedded models."
        )
    return [load_model(path) for path in inside]


def _embedded_folders() -> list[Path]:
    import spineps_rt.engines  # noqa: PLC0415 (package data only; kept out of the import of this module)

    root = Path(spineps_rt.engines.__file__ or "").parent
    return [path.parent for path in sorted(root.glob(f"*/{MANIFEST}"))]


def _embedded_folder(name: str) -> Path:
    folders = {read_manifest(folder).name: folder for folder in _embedded_folders()}
    folders |= {folder.name: folder for folder in _embedded_folders()}
    if name not in folders:
        known = ", ".join(sorted(folders)) or "none"
        raise ModelError(
            f"There is no model {name!r}: it is no folder, and the embedded models are: {known}."
        )
    return folders[name]


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


def _verified(model: Model, name: str) -> bytes:
    path, spec = model.folder / name, model.files[name]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}). Copy or export the model again."
        ) from error
    if len(content) != spec.size:
        raise ModelError(
            f"{path} has {len(content)} bytes; its manifest says {spec.size}. Copy or export the model again."
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != spec.sha256:
        raise ModelError(
            f"{path} is damaged: its SHA-256 is {digest[:12]}..., its manifest says {spec.sha256[:12]}.... "
            "Copy or export the model again."
        )
    return content
