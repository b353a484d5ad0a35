"""The page on tiles that are not run."""

from __future__ import annotations

from typing import Any

from benchmarks.page import bullets, sheet, table

WANTED = 0.999
"""Share of the spine's voxels that must keep their label."""


def page(document: dict[str, Any]) -> str:
    """Write the page from results/localiser.json."""
    return sheet(
        "# Fewer tiles: the localiser",
        document,
        f"Networks: {document['provider']}. Tiles and seconds of the semantic network, by default and with "
        "`--no-localize`, one run each, so that seconds scatter. *Spine* is what cleaning leaves of the "
        "full run, of a phantom what of that is truly there; *same* is the share of its voxels with the "
        "same label. *Coarse pass*, the rival that was not taken: the embedded network at twice the "
        "spacing in plane, its own tiles plus those it would choose, the share of the spine that it marks, "
        "and spine voxels outside its tiles.",
        table(
            ["case", "tiles", "seconds", "spine voxels", "same", "coarse pass: tiles", "marks", "loses"],
            [_row(name, case) for name, case in document["cases"].items()],
        ),
        bullets(losses(document)),
    )


def losses(document: dict[str, Any]) -> list[str]:
    """Say in words what is won, what is not, and where the answer is another one."""
    cases = document["cases"]
    full, some = (sum(case[kind]["tiles"] for case in cases.values()) for kind in ("full", "localized"))
    coarse = sum(case["coarse"]["tiles"] + case["coarse"]["chosen"] for case in cases.values())
    whole = [name for name, case in cases.items() if case["localized"]["tiles"] == case["full"]["tiles"]]
    missed = [f"{name} ({_same(case):.3%})" for name, case in cases.items() if _same(case) < WANTED]
    return [
        f"all cases together: {some} of {full} tiles; a coarse pass would need {coarse}.",
        f"nothing is saved on {', '.join(whole) or 'no case'}.",
        f"**below {WANTED:.1%} of the spine's voxels: {', '.join(missed)}.**"
        if missed
        else f"at least {WANTED:.1%} of the spine's voxels are the same in every case.",
    ]


def _same(case: dict[str, Any]) -> float:
    return 1 - case["spine_differs"] / max(case["spine_voxels"], 1)


def _row(name: str, case: dict[str, Any]) -> list[str]:
    full, some, coarse = case["full"], case["localized"], case["coarse"]
    return [
        f"{name}{' (real)' if case['real'] else ''}",
        f"{some['tiles']} of {full['tiles']}",
        f"{some['seconds']:.1f} of {full['seconds']:.1f}",
        f"{case['spine_voxels']:,}",
        f"{_same(case):.4%}",
        f"{coarse['tiles']} + {coarse['chosen']}",
        f"{coarse['recall']:.0%}",
        f"{coarse['lost']:,}",
    ]
