import json

from cli_helpers import minilm


def test_json_has_architecture_shapes_and_training(trained):
    result = json.loads(minilm("info", trained, "--json").stdout)
    assert result["cell"] == "lstm"
    assert result["shapes"]["embedding.weight"] == [result["vocab_size"], 8]
    assert result["parameters"] == sum(
        shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in result["shapes"].values()
    )
    assert result["training"]["epochs"] > 0


def test_people_get_lines(trained):
    done = minilm("info", trained)
    assert done.returncode == 0
    assert any(line.split() == ["cell", "lstm"] for line in done.stdout.splitlines())


def test_a_missing_folder_is_named(tmp_path):
    done = minilm("info", tmp_path / "none")
    assert done.returncode == 1
    assert "none does not exist" in done.stderr


def test_the_parts_are_a_table(trained):
    lines = minilm("info", trained).stdout.splitlines()
    [head] = [line for line in lines if line.split()[:2] == ["part", "kind"]]
    assert any(
        line.startswith("rnn") and line.index("LSTM") == head.index("kind") for line in lines
    )
    assert any(line.startswith("parameters  ") for line in lines)
    # No name runs into what stands beside it.
    assert all("  " in line for line in lines if line.startswith("  "))
