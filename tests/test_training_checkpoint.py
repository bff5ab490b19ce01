import builtins
import errno
import json
import os
import shutil

import pytest
from training_helpers import (
    CYCLE,
    At,
    Bigram,
    interrupt,
    same_weights,
    tiny_engine,
    tiny_model,
    weights,
)

import minilm
from minilm.models import from_pretrained, load_tokenizer
from minilm.training import CheckpointError, CheckpointFolder
from minilm.training.corpus import make_corpus


def checkpoints(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


@pytest.fixture
def trained(tmp_path):
    """A folder with the checkpoints of steps 12 and 24."""
    engine = tiny_engine(output_dir=str(tmp_path), num_train_epochs=2)
    engine.run()
    assert checkpoints(tmp_path) == ["checkpoint-12", "checkpoint-24"]
    return tmp_path, engine


def reader(folder, engine) -> CheckpointFolder:
    return CheckpointFolder(folder, engine.checkpoints.identity)


def test_a_checkpoint_is_a_model_s_folder_too(trained):
    folder, engine = trained
    model = from_pretrained(folder / "checkpoint-24")
    assert same_weights(weights(model), weights(engine.model))


def test_the_tokenizer_is_in_it(tmp_path):
    corpus = make_corpus("abcde" * 50, "char", "letters")
    engine = tiny_engine(output_dir=str(tmp_path), num_train_epochs=1)
    engine.checkpoints.tokenizer = corpus.tokenizer
    engine.model.config["vocab_size"] = corpus.vocab_size
    engine.run()
    assert load_tokenizer(tmp_path / "checkpoint-12").get_vocab() == corpus.tokenizer.get_vocab()


def test_a_user_s_own_module_is_saved_as_well(tmp_path):
    engine = tiny_engine(Bigram(), output_dir=str(tmp_path), num_train_epochs=1)
    engine.run()
    saved = minilm.load(tmp_path / "checkpoint-12" / "model.safetensors")
    assert same_weights({name: t.numpy() for name, t in saved.items()}, weights(engine.model))


def test_trainer_state_is_json_with_hugging_face_s_names(trained):
    folder, _ = trained
    state = json.loads((folder / "checkpoint-24" / "trainer_state.json").read_text("utf-8"))
    assert state["global_step"] == state["max_steps"] == 24
    assert state["epoch"] == 2
    assert [entry["step"] for entry in state["log_history"]] == [12, 24]
    assert state["best_model_checkpoint"] == str(folder / f"checkpoint-{state['best_global_step']}")


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_only_so_many_are_kept(tmp_path, limit):
    tiny_engine(output_dir=str(tmp_path), save_total_limit=limit).run()
    assert checkpoints(tmp_path) == [f"checkpoint-{k}" for k in (12, 24, 36, 48)[-limit:]]


def test_the_best_one_is_kept(tmp_path):
    # Validated on text that goes the other way round: learning makes it worse.
    tiny_engine(output_dir=str(tmp_path), save_total_limit=1, valid=CYCLE[::-1], train=CYCLE).run()
    assert checkpoints(tmp_path) == ["checkpoint-14", "checkpoint-56"]


@pytest.mark.parametrize(
    "file",
    ["model.safetensors", "training_state.safetensors", "trainer_state.json", "identity.json"],
)
@pytest.mark.parametrize("damage", ["cut", "flip", "remove"])
def test_a_damaged_one_is_passed_over_and_said(trained, file, damage):
    folder, engine = trained
    path = folder / "checkpoint-24" / file
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    with pytest.warns(UserWarning, match=rf"checkpoint-24.*{file}.*taking the one before"):
        found = reader(folder, engine).latest()
    assert found.folder.name == "checkpoint-12"
    assert found.snapshot["state"]["global_step"] == 12


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model.safetensors": 1}', b"\xff"])
def test_damaged_checksums(trained, content):
    folder, engine = trained
    (folder / "checkpoint-24" / "checksums.json").write_bytes(content)
    with pytest.warns(UserWarning, match="no complete checkpoint|damaged"):
        assert reader(folder, engine).latest().folder.name == "checkpoint-12"


def test_a_foreign_one_is_passed_over(trained):
    folder, engine = trained
    (folder / "checkpoint-900").mkdir()  # as another program leaves them
    (folder / "checkpoint-900" / "pytorch_model.bin").write_bytes(b"PK")
    with pytest.warns(UserWarning, match="checkpoint-900 is no complete checkpoint"):
        assert reader(folder, engine).latest().folder.name == "checkpoint-24"


@pytest.mark.filterwarnings("ignore:.*taking the one before")
def test_where_none_is_whole_nothing_is_begun_over_them(trained):
    folder, engine = trained
    for name in checkpoints(folder):
        (folder / name / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint in .* is whole"):
        reader(folder, engine).latest()


def test_a_named_one_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="no complete checkpoint"):
        CheckpointFolder(tmp_path).read(tmp_path / "checkpoint-5")


# --- writes that fail, one after the other --------------------------------------------------------


real_mkdir = os.mkdir


class Failing:
    """Counts the calls that reach the disk, and lets one of them fail."""

    CALLS = ("fsync", "rename", "mkdir", "replace")

    def __init__(self, monkeypatch, fail_at: int) -> None:
        self.count, self.fail_at = 0, fail_at
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        monkeypatch.setattr(builtins, "open", self._counted_open(builtins.open))

    def _step(self) -> None:
        self.count += 1
        if self.count == self.fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")

    def _counted(self, call):
        def counted(*args, **kwargs):
            if call is not real_mkdir or not os.path.isdir(args[0]):  # else it has nothing to do
                self._step()
            return call(*args, **kwargs)

        return counted

    def _counted_open(self, call):
        def counted(file, mode="r", *args, **kwargs):
            if set(mode) & set("wxa"):
                self._step()
            return call(file, mode, *args, **kwargs)

        return counted


@pytest.mark.parametrize("again", [False, True])
def test_any_write_of_a_save_may_fail(tmp_path, again):
    """`again` saves over a checkpoint of the same step."""
    engine = tiny_engine(output_dir=str(tmp_path / "run"), save_total_limit=1, save_steps=5)
    engine.args.save_strategy = "steps"
    engine._callbacks.callbacks.append(At(12, interrupt))
    engine.run()
    before = {
        path.relative_to(tmp_path): path.read_bytes()
        for path in sorted((tmp_path / "run").rglob("*"))
        if path.is_file()
    }
    if not again:
        engine.state.global_step += 1
    failed = 0
    for fail_at in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, fail_at)
            try:
                engine.save()
            except OSError as error:
                assert "what was there before stays" in str(error)
                failed += 1
        if failing.count < fail_at:
            break
        after = {
            path.relative_to(tmp_path): path.read_bytes()
            for path in sorted((tmp_path / "run").rglob("*"))
            if path.is_file()
        }
        whole = reader(tmp_path / "run", engine).latest()
        assert whole is not None
        if after == before:
            continue
        # The new one was complete when the last call failed.
        assert whole.folder.name == f"checkpoint-{engine.state.global_step}"
        break
    assert failed > 5


def test_a_full_disk_stops_the_run_and_costs_nothing(tmp_path, monkeypatch):
    engine = tiny_engine(output_dir=str(tmp_path), num_train_epochs=3)

    def fill(engine):
        monkeypatch.setattr(os, "fsync", full)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    engine._callbacks.callbacks.append(At(20, fill))
    with pytest.raises(OSError, match="No space left on device.*what was there before stays"):
        engine.run()
    monkeypatch.undo()
    assert checkpoints(tmp_path) == ["checkpoint-12"]
    assert reader(tmp_path, engine).latest().folder.name == "checkpoint-12"


def test_what_a_crash_left_half_written_is_no_checkpoint_and_is_cleared(trained):
    folder, engine = trained
    shutil.copytree(folder / "checkpoint-24", folder / ".checkpoint-36.0123abcd.tmp")
    (folder / ".checkpoint-36.0123abcd.tmp" / "model.safetensors").unlink()
    assert reader(folder, engine).latest().folder.name == "checkpoint-24"
    reader(folder, engine).clear_leftovers()
    assert checkpoints(folder) == ["checkpoint-12", "checkpoint-24"]


def test_a_crash_between_two_renames_loses_nothing(trained):
    """The old folder had been put aside, the new one not in its place yet: both are whole."""
    folder, engine = trained
    shutil.rmtree(folder / "checkpoint-12")
    (folder / "checkpoint-24").rename(folder / ".checkpoint-24.0123abcd.tmp")
    assert reader(folder, engine).latest().snapshot["state"]["global_step"] == 24


def test_a_model_under_training_is_as_it_was(trained):
    folder, engine = trained
    model = tiny_model()
    reader(folder, engine).latest().load_weights(model)
    assert same_weights(weights(model), weights(engine.model))
