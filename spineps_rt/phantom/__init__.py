"""A procedural spine with its truth, and an MR image of it: demo input, test data, training data."""

from .anatomy import Anatomy, make_anatomy
from .contrast import FAT_SAT, PRESETS, T1W, T2W, Contrast, random_contrast
from .image import render
from .options import PhantomOptions, Variants
from .sampling import random_options, random_variants
from .scan import Phantom, make_phantom
from .tissues import Tissue

__all__ = [
    "FAT_SAT",
    "PRESETS",
    "T1W",
    "T2W",
    "Anatomy",
    "Contrast",
    "Phantom",
    "PhantomOptions",
    "Tissue",
    "Variants",
    "make_anatomy",
    "make_phantom",
    "random_contrast",
    "random_options",
    "random_variants",
    "render",
]
