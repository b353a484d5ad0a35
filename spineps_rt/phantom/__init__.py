"""A procedural spine with its truth, and an MR image of it: demo input, test data, training data."""

from spineps_rt.phantom.anatomy import Anatomy, make_anatomy
from spineps_rt.phantom.contrast import FAT_SAT, PRESETS, T1W, T2W, Contrast, random_contrast
from spineps_rt.phantom.image import render
from spineps_rt.phantom.options import PhantomOptions, Variants
from spineps_rt.phantom.sampling import random_options, random_variants
from spineps_rt.phantom.scan import Phantom, make_phantom
from spineps_rt.phantom.tissues import Tissue

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
