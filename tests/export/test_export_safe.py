"""Checkpoints from elsewhere: nothing in them runs. Needs [export]; skipped without it."""

from __future__ import annotations

import os
import pickle
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch comes with [export]")

from spineps_rt.errors import ModelError  # noqa: E402
from spineps_rt.export.checkpoints.safe import StandIn, load_checkpoint  # noqa: E402 (after the check above)


class Evil:
    """Creates a file wherever it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class EvilState(dict):
    """Runs a program when its state is set."""

    def __reduce__(self):
        return os.system, (f"touch {self['path']}",)


def save(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("kind", [Evil, lambda path: EvilState(path=path)])
def test_a_checkpoint_runs_nothing(tmp_path, kind):
    trace = tmp_path / "trace"
    weights = {"a": torch.arange(3.0)}
    path = save(tmp_path / "evil.pth", {"network_weights": weights, "evil": kind(trace)})
    content = load_checkpoint(path)
    assert not trace.exists()
    assert isinstance(content["evil"], StandIn)
    assert torch.equal(content["network_weights"]["a"], weights["a"])
    torch.load(path, weights_only=False)  # the file does what it is here for
    assert trace.exists()


def test_a_checkpoint_that_is_nothing_but_a_program_is_refused(tmp_path):
    trace = tmp_path / "trace"
    with pytest.raises(ModelError, match="Nothing of it was run"):
        load_checkpoint(save(tmp_path / "evil.pth", Evil(trace)))
    plain = tmp_path / "plain.ckpt"
    plain.write_bytes(pickle.dumps({"state_dict": Evil(trace)}))
    with pytest.raises(ModelError, match="Save it again"):
        load_checkpoint(plain)
    assert not trace.exists()


def test_what_surrounds_the_weights_is_put_aside(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    content = {
        "state_dict": {"w": parameter},
        "hyper_parameters": Namespace(lr=1e-3, seen={1, 2}, path=Path("a")),
        "log": [np.float64(0.5), np.arange(3)],
        "init_args": {"configuration": "3d_fullres"},
    }
    loaded = load_checkpoint(save(tmp_path / "l.ckpt", content))
    assert torch.equal(loaded["state_dict"]["w"], parameter)
    assert loaded["init_args"] == content["init_args"]
    assert isinstance(loaded["hyper_parameters"], StandIn)


def test_damaged_and_missing_checkpoints_say_so(tmp_path):
    path = save(tmp_path / "a.pth", {"w": torch.ones(1000), "x": np.float64(1)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ModelError, match="damaged"):
        load_checkpoint(path)
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(tmp_path / "missing.pth")


def test_a_program_of_torchscript_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as file:
        for name in ("constants.pkl", "data.pkl", "version"):
            file.writestr(f"a/{name}", b"3")
    with pytest.raises(ModelError, match="TorchScript"):
        load_checkpoint(path)
