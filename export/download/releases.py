"""The official releases of SPINEPS's networks that this runtime can run: the one table of addresses."""

from __future__ import annotations

from dataclasses import dataclass

from spineps_rt.errors import ModelError

PAGE = "https://github.com/Hendrik-code/spineps/releases"


@dataclass(frozen=True)
class Release:
    """One network to be downloaded."""

    address: str
    """Of a zip file."""

    @property
    def file(self) -> str:
        """What the download is called: release and file, as the address has them."""
        return "-".join(self.address.rsplit("/", 2)[1:])


RELEASES = {
    "spineps-t2w": Release(f"{PAGE}/download/v1.0.9/t2w.zip"),
    "spineps-t1w": Release(f"{PAGE}/download/v1.0.9/t1w.zip"),
    "spineps-vibe": Release(f"{PAGE}/download/v1.0.9/vibe.zip"),
    "spineps-instance": Release(f"{PAGE}/download/v1.2.0/instance.zip"),
}
"""Name -> release, addresses as in SPINEPS 2.1.3. Networks for CT and for labelling cannot be exported."""


def find_release(name: str) -> Release:
    """Find a release by its name.

    Raises:
        ModelError: There is none; the message lists what there is.
    """
    if name not in RELEASES:
        raise ModelError(f"There is no release {name!r}; there are: {', '.join(RELEASES)}.")
    return RELEASES[name]
