"""Folders move both ways between minilm and ``transformers``, and say the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from reference import stored
from reference.check import assert_close
from reference.seeded import digest
from reference.transformers_models import MASK, MODELS, Model, results

import minilm
from minilm.models import AutoModelForCausalLM, AutoModelForSequenceClassification

FORWARD, GRADIENT = 1e-5, 1e-4  # relative to the largest value

every_model = pytest.mark.parametrize("model", MODELS, ids=str)


@cache
def folders() -> dict[str, dict]:
    """What transformers writes: configuration, names and shapes of weights."""
    text = (stored.DATA / "transformers.json").read_text(encoding="utf-8")
    return json.loads(text)


def written_by_transformers(model: Model, folder: Path) -> Path:
    """Make the folder that transformers makes of a model."""
    from safetensors.numpy import save_file

    entry = folders()[model.name]
    (folder / "config.json").write_text(json.dumps(entry["config"]), encoding="utf-8")
    save_file(model.weights(entry["shapes"]), folder / "model.safetensors", {"format": "pt"})
    return folder


def load(model: Model, folder: Path):
    auto = AutoModelForSequenceClassification if model.classifies else AutoModelForCausalLM
    return auto.from_pretrained(folder)


@pytest.mark.kernels
@every_model
def test_a_folder_of_transformers_gives_its_stored_answers(model, tmp_path):
    ours = load(model, written_by_transformers(model, tmp_path))
    found = results(minilm, ours, model.batch())
    expected = {
        name.partition("/")[2]: value
        for name, value in stored.load("transformers").items()
        if name.partition("/")[0] == model.name
    }
    assert found.keys() == expected.keys()
    for name, value in found.items():
        tolerance = GRADIENT if name.startswith("grad") else FORWARD
        assert_close(digest(value), expected[name], tolerance, f"{model.name} {name}")


@every_model
def test_what_is_written_has_the_names_and_settings_of_transformers(model, tmp_path):
    from safetensors.numpy import load_file

    load(model, written_by_transformers(model, tmp_path)).save_pretrained(tmp_path / "ours")
    entry = folders()[model.name]
    weights = load_file(tmp_path / "ours" / "model.safetensors")
    assert {name: list(w.shape) for name, w in weights.items()} == entry["shapes"]
    for name, values in model.weights(entry["shapes"]).items():
        np.testing.assert_array_equal(weights[name], values)
    config = json.loads((tmp_path / "ours" / "config.json").read_text(encoding="utf-8"))
    assert config == config | entry["config"]


@pytest.fixture(scope="module")
def theirs():
    """The package transformers, which is not needed otherwise."""
    pytest.importorskip("torch")
    return pytest.importorskip("transformers")


@every_model
def test_logits_agree_live_both_ways(theirs, model, tmp_path):
    import torch

    of_class = getattr(theirs, model.architecture)
    torch.manual_seed(7)
    made = of_class(getattr(theirs, model.config_class)(**model.settings)).eval()
    made.save_pretrained(tmp_path / "theirs")
    ours = load(model, tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    again, report = of_class.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values())
    batch = {name: values for name, values in model.batch().items() if name != "labels"}
    given = {name: torch.tensor(values) for name, values in batch.items()}
    counted = MASK.astype(bool) if not model.classifies else slice(None)
    logits = ours(**batch).logits.detach().numpy()[counted]
    with torch.no_grad():
        for other in (made, again.eval()):
            assert_close(logits, other(**given).logits.numpy()[counted], 1e-5, model.name)
