"""Models of the store: installed whole or not at all, found by name, verified, removed."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import sys
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

import spineps_rt.engines
import tiny_models
from spineps_rt.errors import EngineError, ModelError, OutputError, OutputExistsError
from spineps_rt.io import atomic
from spineps_rt.models import install, store
from spineps_rt.models.resolve import find_model, load_model, resolve_models, verify_folder


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A store of its own."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SPINEPS_RT_MODELS", str(folder))
    return folder


@pytest.fixture
def source(tmp_path):
    return tiny_models.write_semantic(tmp_path / "source")


@pytest.fixture
def command(monkeypatch, run_cli):
    def run(*words, answer=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        return run_cli("models", *words)

    return run


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def zipped(folder, path, **other):
    """Zip a folder under a folder of its name, and further entries after it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in {**{f"{folder.name}/{k}": v for k, v in content(folder).items()}, **other}.items():
            file.writestr(name, data)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep data elsewhere")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"HOME": "/h"}, "/h/.local/share/spineps-rt/models"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/data"}, "/data/spineps-rt/models"),
        ({"HOME": "/h", "SPINEPS_RT_MODELS": "~/m"}, "/h/m"),
        ({"HOME": "/h", "SPINEPS_RT_MODELS": "m"}, str(Path.cwd() / "m")),
    ],
)
def test_the_store_lies_where_it_is_asked_for_or_where_the_platform_keeps_data(
    monkeypatch, settings, expected
):
    for name in ("SPINEPS_RT_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert store.store_folder() == Path(expected)


def test_an_installed_model_is_found_by_its_name(models, source):
    assert store.installed_folders() == []
    (source / "notes.txt").write_text("not a file of the manifest")
    assert install.install(source) == models / "tiny-semantic"
    install.install(tiny_models.write_instance(source.parent / "i"), name="mine")
    assert [f.name for f in store.installed_folders()] == ["mine", "tiny-semantic"]
    assert set(content(models / "tiny-semantic")) == {"manifest.json", "model.onnx"}
    assert load_model("tiny-semantic").sha256 == load_model(source).sha256
    pair = resolve_models("tiny-semantic")
    assert (pair.semantic.name, pair.instance.name) == ("tiny-semantic", "instance")
    pair = resolve_models("tiny-semantic,mine")
    assert (pair.semantic.name, pair.instance.name) == ("tiny-semantic", "tiny-instance")
    with pytest.raises(ModelError, match=r"no model 'other'.*installed in .*models are: mine, tiny-semantic"):
        resolve_models("tiny-semantic,other")


def test_an_ambiguous_name_lists_the_folders(models, source):
    shutil.copytree(source, models / "t2w_semantic")
    with pytest.raises(ModelError, match=rf"2 models are called 't2w_semantic' \(.*{models}/t2w_semantic\)"):
        find_model("t2w_semantic")
    assert load_model(models / "t2w_semantic").name == "tiny-semantic"


def test_a_damaged_model_does_not_hide_the_others(models, source):
    install.install(source)
    (models / "broken").mkdir()
    (models / "broken" / "manifest.json").write_text("{")
    assert load_model("tiny-semantic").name == "tiny-semantic"
    with pytest.raises(ModelError, match=r"broken.manifest\.json"):
        load_model("broken")


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", " ", "a b", "../x", "-x", "/x"])
def test_a_name_is_a_plain_one(models, source, name):
    with pytest.raises(ModelError, match="cannot be called"):
        install.install(source, name=name)
    assert not models.exists()


def test_nothing_is_replaced_unasked(models, source):
    folder = install.install(source)
    before = content(folder)
    tiny_models.edit_manifest(source, provenance="another")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        install.install(source)
    assert content(folder) == before
    install.install(source, overwrite=True)
    assert load_model(folder).provenance == "another"
    assert [p.name for p in models.iterdir()] == ["tiny-semantic"]
    (models / "photos").mkdir()
    with pytest.raises(OutputExistsError, match="is no model"):
        install.install(source, name="photos", overwrite=True)
    for name in ("t2w_semantic", "instance"):
        with pytest.raises(ModelError, match="embedded"):
            install.install(source, name=name, overwrite=True)


def test_of_two_imports_at_once_one_is_refused(models, source):
    """Neither sees the other when it looks; the name is given when the files are there."""
    at_once = Barrier(2)

    def attempt(number):
        mine = shutil.copytree(source, source.with_name(f"source-{number}"))
        tiny_models.edit_manifest(mine, provenance=str(number))
        at_once.wait()
        try:
            install.install(mine)
        except OutputExistsError as error:
            return str(error)
        return number

    for _ in range(10):
        with ThreadPoolExecutor(2) as pool:
            won, refused = sorted(pool.map(attempt, range(2)), key=lambda one: isinstance(one, str))
        assert "--overwrite" in refused
        assert load_model("tiny-semantic").provenance == str(won)
        assert [path.name for path in models.iterdir()] == ["tiny-semantic"]
        install.remove("tiny-semantic")
        for number in range(2):
            shutil.rmtree(source.with_name(f"source-{number}"))


def test_a_damaged_source_leaves_nothing(models, source):
    (source / "model.onnx").write_bytes(b"x" + (source / "model.onnx").read_bytes()[1:])
    with pytest.raises(ModelError, match=r"model\.onnx is damaged"):
        install.install(source)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("there", [False, True], ids=["new", "overwrite"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", [1, 2])
def test_an_interrupted_import_leaves_what_was_there(models, source, monkeypatch, there, error, step):
    before = content(install.install(source)) if there else {}
    tiny_models.edit_manifest(source, provenance="another")
    renames = iter(range(1, 9))
    replace = Path.replace

    def broken(path, target):
        # the old model loses its name, the new one gets it
        if next(renames) == step:
            raise error
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", broken)
    if step == 2 and not there:
        install.install(source, overwrite=True)  # no old model, no second step
        assert content(models)
        return
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        install.install(source, overwrite=True)
    assert [p.name for p in models.iterdir()] == (["tiny-semantic"] if there else [])
    assert content(models) == {f"tiny-semantic/{name}": data for name, data in before.items()}


def test_a_store_that_cannot_be_written_says_so(models, source):
    models.write_text("a file")
    with pytest.raises(OutputError, match="choose another folder"):
        install.install(source)


def test_remove_takes_only_installed_models(models, source, tmp_path):
    install.install(source)
    for name in ("instance", "t2w_semantic", "..", "../source", str(source), "nonesuch", ""):
        with pytest.raises(ModelError, match=r"installed are: tiny-semantic\."):
            install.remove(name)
    assert load_model(source).name == "tiny-semantic"
    install.remove("tiny-semantic")
    assert list(models.iterdir()) == []
    (models / "linked").symlink_to(source)
    install.remove("linked")
    assert list(models.iterdir()) == []
    assert load_model(source).name == "tiny-semantic"


def test_damage_names_every_wrong_file(models, source):
    folder = install.install(source)
    assert verify_folder(folder) == []
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = {"sha256": "0" * 64, "bytes": 5}
    tiny_models.edit_manifest(folder, files={**manifest["files"], "more.onnx": entry, "gone.onnx": entry})
    (folder / "more.onnx").write_bytes(b"12345")
    (folder / "model.onnx").write_bytes(b"short")
    problems = verify_folder(folder)
    assert [
        name for line in problems for name in ("model.onnx", "more.onnx", "gone.onnx") if name in line
    ] == [
        "model.onnx",
        "more.onnx",
        "gone.onnx",
    ]


@pytest.mark.parametrize("pack", [False, True], ids=["folder", "zip"])
def test_import_list_show_verify_remove(command, models, source, pack):
    given = zipped(source, source.with_suffix(".zip")) if pack else source
    assert command("import", given, "--name", "my.model-1") == (0, f"{models / 'my.model-1'}\n", "")
    code, out, err = command("list")
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["instance", "embedded", "instance"],
        ["instance_halves", "embedded", "instance"],
        ["t2w_semantic", "embedded", "semantic"],
        ["t2w_slices", "embedded", "semantic"],
        ["my.model-1", "installed", "semantic"],
    ]
    assert command("show", "my.model-1")[1].startswith("name          tiny-semantic\n")
    assert command("verify", "my.model-1", "instance")[:2] == (
        0,
        f"{'my.model-1':<28}OK\n{'instance':<28}OK\n",
    )
    (models / "my.model-1" / "model.onnx").write_bytes(b"short")
    code, out, _ = command("verify")
    assert code == ModelError.exit_code
    assert [line[28:30] == "OK" for line in out.splitlines()] == [True] * 4 + [False]
    assert "my.model-1" in out
    assert "model.onnx has 5 bytes" in out
    for answer in ("n\n", ""):
        code, _, err = command("remove", "my.model-1", answer=answer)
        assert code == 1 and err.endswith("is kept. Answer y, or pass --yes, to delete it.\n")
        assert (models / "my.model-1").is_dir()
    assert command("remove", "my.model-1", answer="y\n")[0] == 0
    assert list(models.iterdir()) == []


def test_list_goes_on_after_a_damaged_model(command, models, source):
    install.install(source)
    (models / "a").mkdir()
    (models / "a" / "manifest.json").write_text("[]")
    code, out, _ = command("list")
    assert code == 0
    assert ["damaged:" in line for line in out.splitlines()] == [False, False, False, False, True, False]


def test_show_tells_the_figures_of_the_embedded_models(command):
    code, out, _ = command("show", "instance")
    card = (Path(spineps_rt.engines.__file__).parent / "README.md").read_text(encoding="utf-8")
    assert code == 0
    assert out.rstrip().endswith(card.partition("\n## Figures\n")[2].rstrip())
    assert "What they cannot do" in out


def test_import_refuses_what_is_no_model(command, models, source, tmp_path):
    link = zipfile.ZipInfo("source/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no model")
    whole = zipped(source, tmp_path / "whole.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    two = zipped(source, tmp_path / "two.zip", **{"other/manifest.json": "{}"})
    shutil.copytree(source, tmp_path / "part")
    (tmp_path / "part" / "model.onnx").unlink()
    for given, said in {
        zipped(source, tmp_path / "out.zip", **{"../evil": "x"}): "would leave the folder",
        zipped(source, tmp_path / "bomb.zip", **{"zeros.bin": bytes(4 << 20)}): "no weights shrink",
        tmp_path / "link.zip": "link or device",
        tmp_path / "half.zip": "zip file",
        tmp_path / "empty": "holds neither manifest.json",
        tmp_path / "text.txt": "is neither; name a model folder or a zip file",
        tmp_path / "nonesuch": "does not exist",
        two: "holds 2 of manifest.json",
        zipped(tmp_path / "part", tmp_path / "part.zip"): "model.onnx cannot be read",
    }.items():
        code, out, err = command("import", given)
        assert (code, out) == (ModelError.exit_code, ""), given
        assert said in err
        assert err.startswith("error: ")
        assert not models.exists() or list(models.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_import_of_a_spineps_folder_needs_pytorch(command, models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spineps_rt.export.convert", None)
    (tmp_path / "spineps").mkdir()
    (tmp_path / "spineps" / "inference_config.json").write_text("{}")
    code, out, err = command("import", tmp_path / "spineps")
    assert (code, out) == (EngineError.exit_code, "")
    assert "pip install 'spineps-rt[export]'" in err
    assert not models.exists()


def test_a_name_that_is_taken_is_refused_before_the_export(command, models, source, tmp_path):
    install.install(source)
    (tmp_path / "spineps").mkdir()
    (tmp_path / "spineps" / "inference_config.json").write_text("{}")
    code, _, err = command("import", tmp_path / "spineps", "--name", "tiny-semantic")
    assert code == OutputExistsError.exit_code
    assert "--overwrite" in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_in_a_file_s_place_is_refused(models, source):
    (source / "model.onnx").unlink()
    os.mkfifo(source / "model.onnx")
    with pytest.raises(ModelError, match="0 bytes"):
        install.install(source)


def test_a_manifest_reaches_for_no_file_outside(models, source):
    (source.parent / "secret").write_text("x")
    tiny_models.edit_manifest(source, files={"../secret": {"sha256": "0" * 64, "bytes": 1}})
    with pytest.raises(ModelError, match="plain file names"):
        install.install(source)


def test_what_is_not_whole_is_not_listed(models, source):
    shutil.copytree(source, models / atomic.temporary_name())  # as a power cut leaves it
    assert store.installed_folders() == []
