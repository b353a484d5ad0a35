"""What a missing library of the extra [export] says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from spineps_rt.errors import EngineError


@contextlib.contextmanager
def export_extra() -> Iterator[None]:
    """Turn a failing import within into an error with the line that helps.

    Raises:
        EngineError: A library is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise EngineError(
            f"This needs more libraries ({error}): pip install 'spineps-rt[export]'."
        ) from error
