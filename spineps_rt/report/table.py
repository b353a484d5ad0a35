"""The closing table of a run, in plain text."""

from __future__ import annotations

from spineps_rt.io.naming import OutputPaths
from spineps_rt.io.streams import printable
from spineps_rt.labels import CANAL, CORD, DISC_OFFSET, LEVEL_ORDER, SACRUM_INSTANCE, VERTEBRAE
from spineps_rt.quality.verdict import GOOD, Quality, worst
from spineps_rt.results import Result

MOST_REASONS = 8
"""That the table lists."""
_SHOWN = {"semantic": "tiles", "instance": "cutouts"}


def closing_table(result: Result, paths: OutputPaths) -> str:
    """Tell what was found, how long it took, what ran and where the files are.

    Args:
        result: The finished run.
        paths: Where its files are.

    Returns:
        Lines of text.
    """
    total = sum(result.seconds.values())
    stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.seconds.items())
    rows = [("time", f"{total:.1f} s ({stages}), peak memory {result.peak_bytes / 2**20:.0f} MB")]
    rows += [
        ("engine", f"{n.kind}: {n.name} on {n.provider}, {n.samples} of {n.planned} {_SHOWN[n.kind]}")
        for n in result.networks
    ]
    rows.insert(0, ("quality", verdict_line(result.quality)))
    alarms = result.quality.alarms
    rows += [(reason.verdict, reason.text) for reason in alarms[:MOST_REASONS]]
    if len(alarms) > MOST_REASONS:
        rows.append(("", f"and {len(alarms) - MOST_REASONS} more reasons: see the run record"))
    rows += [("warning", text) for text in result.warnings]
    rows += [("files", printable(str(paths.semantic.parent)))]
    rows += [("", printable(path.name)) for path in paths.all()]
    lines = [result.source.name, f"  {span(result)}", "", *_levels(result), ""]
    return "\n".join([*lines, *(f"  {key:<8} {value}" for key, value in rows)]) + "\n"


def verdict_line(quality: Quality) -> str:
    """Sum up a verdict: ``check: 2 reasons, at L5 and disc L4/L5``."""
    alarms = quality.alarms
    if not alarms:
        return quality.verdict
    places = list(dict.fromkeys(reason.place for reason in alarms))
    shown = ", ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")
    return f"{quality.verdict}: {_count(len(alarms), 'reason', 'reasons')} ({shown})"


def span(result: Result) -> str:
    """Sum up what was found: ``T10 to L5: 8 vertebrae, 7 discs, sacrum``."""
    levels = [v for v in LEVEL_ORDER if v in result.volumes and v != SACRUM_INSTANCE]
    discs = sum(v - DISC_OFFSET in VERTEBRAE for v in result.volumes)
    parts = [_count(len(levels), "vertebra", "vertebrae"), _count(discs, "disc", "discs")]
    if SACRUM_INSTANCE in result.volumes:
        parts.append("sacrum")
    ends = f"{result.names[levels[0]]} to {result.names[levels[-1]]}: " if levels else ""
    return ends + ", ".join(parts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _levels(result: Result) -> list[str]:
    """One line a level: volume of the vertebra and of the disc below it."""
    lines = [f"  {'level':<8}{'vertebra':>10}{'disc below':>12}   (ml)"]
    for v in LEVEL_ORDER:
        disc = result.volumes.get(DISC_OFFSET + v)
        doubt = worst(result.quality.places.get(n, GOOD) for n in (v, DISC_OFFSET + v))
        if v in result.volumes or disc:
            bone = f"{result.volumes[v]:.1f}" if v in result.volumes else "-"
            name = result.names.get(v, "-")
            line = f"  {name:<8}{bone:>10}{f'{disc:.1f}' if disc else '-':>12}"
            lines.append(f"{line}   {doubt}" if doubt != GOOD else line)
    tubes = [
        (name, result.structure_volumes.get(label)) for name, label in (("cord", CORD), ("canal", CANAL))
    ]
    lines += [f"  {name:<8}{ml:>10.1f}" for name, ml in tubes if ml]
    return lines
