"""What may be chosen, one frozen dataclass a stage; defaults are those of SPINEPS 2.1.3 but where noted."""

from __future__ import annotations

from dataclasses import dataclass, field

DEVICES = (
    "auto",
    "cpu",
    "openvino",
    "openvino-bf16",
    "onnx",
    "cuda",
    "onnx-tensorrt",
    "tensorrt",
    "tensorrt-rtx",
)
"""What an engine may be asked for; ``auto`` takes the fastest that works here and says which it was."""
SUMS = ("float32", "float16")
"""Types that logits may be summed in on a GPU, the exact one first."""


@dataclass(frozen=True)
class PreprocessOptions:
    """Intensities and margins before the semantic network (SPINEPS ``preprocess_input``)."""

    normalise: bool = True
    """Map the intensities to 0..1500."""
    crop: bool = True
    """Work inside the box of the voxels above zero."""
    pad: int = 4
    """Voxels added on every side, in the input's own grid."""
    bias_field: bool = False
    """Correct the bias field (N4). SPINEPS does by default."""


@dataclass(frozen=True)
class SemanticOptions:
    """Semantic network and the cleaning of its mask (SPINEPS ``predict_semantic_mask``)."""

    step: float | None = None
    """Tile step as a fraction of the patch; None takes the model's."""
    mirror: bool = True
    """Average over mirrored copies of every tile where the model was made for it."""
    skip_margin: bool = True
    """Show the network the scan without the margin that preprocessing added. SPINEPS shows it the margin too:
    16 mm of nothing on either side of 4 mm slices, which doubles the tiles of many scans."""
    sums: str = "float32"
    """One of :data:`SUMS`: what a GPU sums logits in. float16 takes half the memory; near ties may flip."""
    localize: bool = True
    """Run only the tiles that the spine reaches (``inference/tile_search.py``). SPINEPS runs all; within the
    spine the mask is the same, far from it nothing is found."""
    clean_small_components: bool = True
    """Delete components below 30 reference voxels."""
    clean_beyond_largest_box: bool = True
    """Delete what lies outside the growing box around the largest component."""
    remove_inferior_beyond_canal: bool = False
    """Delete everything but the sacrum that lies 64 mm beyond the canal's ends."""
    fill_holes: bool = True
    """Fill holes of bodies, canal, cord and discs."""


@dataclass(frozen=True)
class InstanceOptions:
    """Vertebra cutouts, their network and the merging of its answers (SPINEPS ``predict_instance_mask``)."""

    clean_corpora: bool = True
    """Clean the bodies before their centres are sought."""
    split_merged_corpora: bool = True
    """Split bodies that grew together."""
    largest_components: int = 0
    """Keep that many components of each cutout's answer; 0 keeps all."""
    clean_small_components: bool = True
    """Delete small components of the merged mask."""
    fill_holes: bool = True
    """Fill holes of every vertebra."""


@dataclass(frozen=True)
class ReconcileOptions:
    """How the two masks clean each other in the input's space (SPINEPS ``phase_postprocess_combined``)."""

    clean_instances_by_semantics: bool = True
    """Remove instance voxels outside the semantic mask."""
    assign_missing_components: bool = True
    """Give a vertebra's structure without instance to a neighbour, or delete it."""
    fix_articular_inconsistency: bool = True
    """Name articular processes after the instance that they overlap most."""
    merge_split_vertebrae: bool = True
    """Join two instances without a disc between them."""
    fix_posterior_instances: bool = True
    """Move posterior elements that got their neighbour's instance."""
    remove_apart: bool = True
    """Take away what lies apart from the one column with its canal: whole vertebrae in front of it, crumbs of
    disc, sacrum or endplate in the belly. SPINEPS keeps them, and they shift the vertebrae's numbers."""
    first_vertebra: int = 2
    """Instance id of the topmost vertebra; C2, because the embedded models know no C1."""
    split_top_by_height: bool = True
    """Look for a topmost vertebra that is in two instances at the top. SPINEPS looks at the start of the
    input's second axis, which is the top in few orientations; elsewhere it may join two vertebrae."""
    gap_for_missing_body: bool = True
    """Where two discs and no body lie between two vertebrae, leave a number free, so that the names beyond
    stay right. SPINEPS counts on and gives both discs one id."""
    spare_sacrum_id: bool = True
    """Number no vertebra 26, which is the sacrum, nor with another id that means something else. SPINEPS
    counts on into these."""
    discs_above_first_body: bool = True
    """Give discs and endplates above all bodies the id before the topmost vertebra's. SPINEPS gives endplates
    the topmost vertebra's, and where a sacrum is in view both the sacrum's."""
    keep_contested_endplates: bool = True
    """Let only the vertebrae above and below an endplate say whether it is inferior or superior. SPINEPS
    deletes endplate voxels that another vertebra reaches first."""


STRICT = ("check", "reject")
"""Verdicts that may be made an error."""
COUNT_FROM = ("sacrum", "top")
"""Where the vertebrae's numbers may start."""


@dataclass(frozen=True)
class LabelingOptions:
    """Which vertebra is called what."""

    count_from: str = "sacrum"
    """One of :data:`COUNT_FROM`: ``sacrum`` names the vertebra above a visible sacrum L5; ``top`` keeps the
    numbers of SPINEPS without its labelling network."""


@dataclass(frozen=True)
class EngineOptions:
    """Where the networks run."""

    device: str = "auto"
    """One of :data:`DEVICES`. Asking for one and not getting it is an error."""
    threads: int = 0
    """CPU threads; 0 takes every core."""


@dataclass(frozen=True)
class Options:
    """Everything that may be chosen for one run."""

    preprocess: PreprocessOptions = field(default_factory=PreprocessOptions)
    semantic: SemanticOptions = field(default_factory=SemanticOptions)
    instance: InstanceOptions = field(default_factory=InstanceOptions)
    reconcile: ReconcileOptions = field(default_factory=ReconcileOptions)
    labeling: LabelingOptions = field(default_factory=LabelingOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    any_plane: bool = False
    """Accept slices in another plane than the model's (SPINEPS ``ignore_compatibility_issues``)."""


AS_SPINEPS = Options(
    preprocess=PreprocessOptions(bias_field=True),
    semantic=SemanticOptions(skip_margin=False, localize=False),
    reconcile=ReconcileOptions(
        remove_apart=False,
        split_top_by_height=False,
        gap_for_missing_body=False,
        spare_sacrum_id=False,
        discs_above_first_body=False,
        keep_contested_endplates=False,
    ),
    labeling=LabelingOptions("top"),
)
"""Every departure from SPINEPS 2.1.3 taken back (docs/parity.md)."""
