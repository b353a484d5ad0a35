"""Typed reading of a JSON object, with refusals that help."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spineps_rt.errors import ModelError

_OPPOSITES = ({"L", "R"}, {"P", "A"}, {"I", "S"})


class Fields:
    """Values of a JSON object by key; every refusal names file, field, what came and what was expected."""

    remedy = "Use the manifest as it was exported, or export the model again."
    """The last sentence of every refusal."""

    def __init__(self, data: dict[str, Any], path: Path, prefix: str = "") -> None:
        self.data, self.path, self._prefix = data, path, prefix

    def refuse(self, key: str, expected: str) -> ModelError:
        """Make the error for a field; the caller raises it."""
        came = repr(self.data[key])[:200] if key in self.data else "missing"
        return ModelError(
            f"{self.path}: field {self._prefix + key!r} is {came}; expected {expected}. {self.remedy}"
        )

    def take(self, key: str, expected: str, fits: Callable[[Any], bool]) -> Any:
        """Value of a field, refused where it is missing or does not fit."""
        try:
            value = self.data[key]
            right = fits(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            right = False
        if not right:
            raise self.refuse(key, expected)
        return value

    def text(self, key: str, choices: tuple[str, ...] = ()) -> str:
        """A text, one of the choices where there are any."""
        expected = f"one of {', '.join(choices)}" if choices else "a text"
        return str(self.take(key, expected, lambda v: v in choices if choices else is_text(v)))

    def texts(self, key: str) -> tuple[str, ...]:
        """At least one text."""
        return tuple(self.take(key, "a list of texts", lambda v: is_list(v, is_text) and bool(v)))

    def number(self, key: str) -> float:
        """A number from 0."""
        return float(self.take(key, "a number from 0", lambda v: is_number(v) and 0 <= v < math.inf))

    def sizes(self, key: str, count: int | None = None) -> tuple[int, ...]:
        """Whole numbers above 0, ``count`` of them."""
        expected = f"a list of {count or 'any count of'} whole numbers above 0"
        return tuple(self.take(key, expected, lambda v: is_list(v, is_size) and len(v) == (count or len(v))))

    def table(self, key: str) -> dict[int, int]:
        """Numbers to numbers, each from 0 to 255."""
        expected = "an object of whole numbers from 0 to 255"
        value = self.take(
            key, expected, lambda v: bool(v) and all(is_byte(int(k)) and is_byte(n) for k, n in v.items())
        )
        return {int(k): n for k, n in value.items()}

    def inside(self, key: str) -> Fields:
        """Fields of an object within."""
        value = self.take(key, "an object", lambda v: isinstance(v, dict))
        return Fields(value, self.path, f"{self._prefix}{key}.")

    def axes(self, key: str) -> tuple[str, ...]:
        """Three axis codes, one of each pair of opposites."""

        def fits(codes: Any) -> bool:
            return len(codes) == 3 and all(sum(code in pair for code in codes) == 1 for pair in _OPPOSITES)

        return tuple(self.take(key, 'three axis codes such as ["P", "I", "R"]', fits))


def is_text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_number(value: Any) -> bool:
    """A number; JSON true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_size(value: Any) -> bool:
    """A whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_byte(value: Any) -> bool:
    """A whole number from 0 to 255."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def is_spacing(value: Any) -> bool:
    """Three numbers of mm above 0 and below 100."""
    return is_list(value, lambda v: is_number(v) and 0 < v < 100) and len(value) == 3


def is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    """A list whose every item fits."""
    return isinstance(value, list) and all(map(fits, value))
