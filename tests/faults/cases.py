"""The accidents, and what may be there afterwards: the new set or the old one, whole; nothing else."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tiny_scan
from spineps_rt.io.atomic import settle
from spineps_rt.io.naming import OutputPaths, output_paths
from spineps_rt.io.sets import check_folder
from spineps_rt.options import EngineOptions, Options
from spineps_rt.pipeline import Pipeline
from spineps_rt.report import write
from spineps_rt.results import Result
from tests.faults import writers
from tests.faults.writers import Child, contents

KINDS = ("lost", "mixed", "litter", "tracebacks", "hangs")
"""What is counted; all of it should be nought."""


@dataclass(frozen=True)
class Stage:
    """Two results of one scan, ready to be written, and a place for them."""

    folder: Path
    paths: OutputPaths
    result: Result
    old: dict[str, bytes]
    new: dict[str, bytes]

    @classmethod
    def made(cls, folder: Path) -> Stage:
        """Segment the tiny scan twice, with other options."""
        models = tiny_scan.write_models(folder / "models")
        scan = tiny_scan.write_scan(folder / "sub-x_T2w.nii.gz")
        sets, paths = [], output_paths(scan, folder / "made")
        for localize in (True, False):
            options = Options(engine=EngineOptions("onnx", 1))
            options = replace(options, semantic=replace(options.semantic, localize=localize))
            with Pipeline(str(models), options=options) as pipeline:
                result = pipeline.run(scan)
            write.write_outputs(result, paths, overwrite=True)
            sets.append({path.name: path.read_bytes() for path in paths.all()})
        # every file of one set differs from that of the other, so that a mixture shows
        sets[0] = {name: data + (b"" if name.endswith(".json") else b"\0") for name, data in sets[0].items()}
        return cls(folder, paths, result, *_vouched(sets, paths))

    def place(self, number: int, *, filled: bool) -> OutputPaths:
        """A fresh folder, with the old set in it or empty."""
        paths = output_paths(self.folder / "sub-x_T2w.nii.gz", self.folder / f"case-{number}")
        paths.record.parent.mkdir()
        for path in paths.all() if filled else ():
            path.write_bytes(self.old[path.name])
        return paths

    def writer(self, paths: OutputPaths, files: dict[str, bytes], *, overwrite: bool) -> Callable[[], None]:
        """A work that writes one of the sets."""
        return writers.set_writer(files, self.result, paths, overwrite=overwrite)


def _vouched(sets: list[dict[str, bytes]], paths: OutputPaths) -> list[dict[str, bytes]]:
    """The same files with records that vouch for these bytes."""
    from spineps_rt.io.sets import encode_record, read_record  # noqa: PLC0415

    name, document = paths.record.name, read_record(paths.record)
    out = []
    for number, files in enumerate(sets):
        rest = {n: data for n, data in files.items() if n != name}
        rest = {n: data + (b" " * (number + 1) if n.endswith(".json") else b"") for n, data in rest.items()}
        out.append({**rest, name: encode_record(document, name, rest)})
    return out


def judge(found: dict[str, bytes], allowed: list[dict[str, bytes]]) -> Counter:
    """Count what is wrong with a folder's content."""
    wrong: Counter = Counter()
    hidden = {name for name in found if name.startswith(".")}
    visible = {name: data for name, data in found.items() if name not in hidden}
    wrong["litter"] = bool(hidden)
    if visible not in allowed:
        known = {data for files in allowed for data in files.values()}
        lost = not visible or not set(visible.values()) <= known
        wrong["lost" if lost else "mixed"] += 1
    return wrong


def ended(code: int | None, text: str) -> Counter:
    """Count how a process ended."""
    return Counter(hangs=code is None, tracebacks="Traceback" in text or code in (1, 70))


def kill_nine(stage: Stage, number: int, rng: random.Random) -> Counter:
    """Killed at a call, among them all renames; then the next run comes, which begins with settling."""
    filled = rng.random() < 0.7
    paths = stage.place(number, filled=filled)
    work = stage.writer(paths, stage.new, overwrite=filled)
    child = Child(writers.dying(work, rng.randint(1, 50)))
    child.go()
    wrong = ended(*child.wait())
    before, folder = contents(paths.record.parent), paths.record.parent
    whole = [stage.old if filled else {}, stage.new]
    vouched = [state for state in check_folder(folder) if state.state == "complete"]
    visible = {name: data for name, data in before.items() if not name.startswith(".")}
    wrong["mixed"] += bool(vouched) and visible not in whole  # a record that vouches for a mixture
    settle(paths.semantic, finish=rng.random() < 0.5)
    return wrong + judge(contents(folder), whole)


def signals(stage: Stage, number: int, rng: random.Random) -> Counter:
    """Two signals: at calls while a set is taken back, or at any time."""
    filled = rng.random() < 0.7
    paths = stage.place(number, filled=filled)
    work = stage.writer(paths, stage.new, overwrite=filled)
    sent = tuple(rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)) for _ in range(2))
    if rng.random() < 0.5:
        child = Child(writers.failing(work, rng.randint(15, 50), sent))
        child.go()
    else:
        child = Child(writers.in_a_thread(work) if rng.random() < 0.5 else work)
        child.go()
        for one in sent:
            time.sleep(rng.random() * 0.02)
            child.kill(one)
    wrong = ended(*child.wait())
    after = contents(paths.record.parent)
    settle(paths.semantic, finish=True)  # litter after two signals is no fault; what stays behind it is
    visible = {name: data for name, data in after.items() if not name.startswith(".")}
    whole = [stage.old if filled else {}, stage.new]
    return wrong + judge(visible, whole) + judge(contents(paths.record.parent), whole)


def pairs(stage: Stage, number: int, rng: random.Random) -> Counter:
    """Two writers of one scan at once, with and without --overwrite."""
    overwrite = rng.random() < 0.5
    paths = stage.place(number, filled=rng.random() < 0.5 and overwrite)
    children = [Child(stage.writer(paths, files, overwrite=overwrite)) for files in (stage.old, stage.new)]
    for child in children:
        child.go()
        time.sleep(rng.choice((0, 0, rng.random() * 0.01)))
    ends = [child.wait() for child in children]
    wrong = sum((ended(*end) for end in ends), Counter())
    codes = sorted(code for code, _ in ends if code is not None)
    wrong["lost"] += codes != ([0, 0] if overwrite else [0, 21])
    return wrong + judge(contents(paths.record.parent), [stage.old, stage.new])


def disk_full(stage: Stage, number: int, rng: random.Random) -> Counter:
    """A disk that takes only so much of a file."""
    filled = rng.random() < 0.7
    paths = stage.place(number, filled=filled)
    size = rng.randint(0, max(map(len, stage.new.values())) - 1)
    child = Child(writers.cramped(stage.writer(paths, stage.new, overwrite=filled), size))
    child.go()
    code, text = child.wait()
    wrong = ended(code, text)
    wrong["lost"] += code != 20
    return wrong + judge(contents(paths.record.parent), [stage.old if filled else {}])


CASES: dict[str, Callable[[Stage, int, random.Random], Counter]] = {
    "kill -9": kill_nine,
    "signals": signals,
    "pairs of writers": pairs,
    "disk full": disk_full,
}
