"""A search space is what the file says, and an error names file and key."""

import pytest

from minilm.training.recipe import Recipe
from minilm.training.settings import Architecture, Settings
from minilm.tuning import Choices, Range, read_space
from minilm.tuning.space import TYPES

EXAMPLE = """
lr = { low = 1e-3, high = 0.1, log = true }
batch_size = [8, 16]
epochs = 3

[architecture]
hidden = { low = 16, high = 64, step = 16 }
"""


def test_a_file_is_read(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    space = read_space(path)
    assert space.fixed == {"epochs": 3}
    assert space.parameters == {
        "batch_size": Choices((8, 16)),
        "hidden": Range(16, 64, step=16, whole=True),
        "lr": Range(1e-3, 0.1, log=True),
    }


def test_names_may_be_dotted():
    plain = read_space({"lr": [0.1, 1], "hidden": [4]})
    assert read_space({"settings.lr": [0.1, 1], "architecture.hidden": [4]}).parameters == (
        plain.parameters
    )
    assert plain.parameters["lr"].values == (0.1, 1.0)


def test_every_option_of_a_run_can_be_searched():
    values = {int: [1, 2], float: [0.1, 0.2], bool: [True, False]}
    names = {"model": ["gru", "gpt"], "optimizer": ["adam", "sgd"], "schedule": ["cosine"]}
    for name, kind in TYPES.items():
        read_space({name: names[name] if kind is str else values[kind]})


def test_a_recipe_gets_what_is_fixed_and_what_is_drawn():
    space = read_space({"lr": [0.1, 0.2], "model": ["gru", "rnn"], "epochs": 2})
    base = Recipe("my.txt", "char", Architecture(hidden=8), Settings(seed=4))
    recipe = space.recipe(base, {"lr": 0.2, "model": "rnn"})
    assert recipe.architecture == Architecture(model="rnn", hidden=8)
    assert recipe.settings == Settings(lr=0.2, epochs=2, seed=4)
    assert (recipe.data, recipe.level) == ("my.txt", "char")


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"low": 1, "high": 4}, (1, 2, 3, 4)),
        ({"low": 1, "high": 6, "step": 2}, (1, 3, 5)),
        ({"low": 0.1, "high": 0.5, "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"low": 0.0, "high": 1.0}, ()),
        ({"low": 1, "high": 4, "log": True}, ()),
    ],
)
def test_values_of_a_range(given, values):
    one = read_space({"a": given}, free=True).parameters["a"]
    assert one.values == values
    assert not values or one.high == values[-1]


def test_a_grid_needs_values_that_can_be_counted():
    space = read_space({"lr": {"low": 0.1, "high": 0.2}, "hidden": [4, 8]})
    with pytest.raises(ValueError, match="lr: a grid needs values that can be counted.*a step"):
        space.grid()


def test_an_own_objective_has_its_own_names():
    space = read_space({"depth": {"low": 1, "high": 3}, "on": [True, False], "x": 2}, free=True)
    assert space.grid() == {"depth": (1, 2, 3), "on": (True, False)}
    assert space.fixed == {"x": 2}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is nothing to search"),
        ({"lr": 0.1}, "there is nothing to search: give at least one name"),
        ({"lr": []}, "lr has no values to try"),
        ({"lr": {"low": 1.0}}, "lr has no high"),
        ({"lr": {}}, "lr has no low and no high"),
        ({"lr": [0.1, 0.1]}, "lr has a value twice"),
        ({"lrr": [0.1]}, "has no 'lrr'; did you mean 'lr'"),
        ({"settings.hiden": [1]}, "settings has no 'hiden'"),
        ({"setting.lr": [1]}, "has no 'setting'; did you mean 'settings'"),
        ({"architecture": {"hiden": [1]}}, "did you mean 'hidden'"),
        ({"lr": [0.1], "settings.lr": [0.2]}, "lr is given twice"),
        ({"lr": {"low": 1.0, "hgih": 2.0}}, "lr has no 'hgih'; did you mean 'high'"),
        ({"lr": {"low": 0.2, "high": 0.1}}, "low 0.2 is above high 0.1"),
        ({"lr": {"low": 0.0, "high": 0.1, "log": True}}, "log needs low above 0; got 0.0"),
        ({"lr": {"low": 0.1, "high": 0.2, "log": 1.5}}, "log must be true or false; got 1.5"),
        ({"lr": {"low": 0.1, "high": 0.2, "step": 0}}, "step must be above 0"),
        ({"hidden": {"low": 1, "high": 9, "step": 2, "log": True}}, "step cannot be combined"),
        ({"lr": {"low": "a", "high": 0.2}}, "low must be a number; got 'a'"),
        ({"lr": {"low": float("nan"), "high": 0.2}}, "low must be a number; got nan"),
        ({"model": {"low": 1, "high": 2}}, "model is not a number: give a list"),
        ({"hidden": [8.5]}, "hidden must be a whole number; got 8.5"),
        ({"tie": [1, True]}, "tie must be true or false; got 1"),
        ({"tie": {"low": 0, "high": 1}}, "tie is not a number"),
        ({"hidden": [True]}, "hidden must be a whole number; got True"),
        ({"lr": ["fast"]}, "lr must be a number; got 'fast'"),
        ({"hidden": [0, 4]}, "hidden: 0 cannot be: it is too small"),
        ({"lr": [0.1], "hidden": -1}, "hidden: -1 cannot be"),
        (
            {"lr": {"low": -1.0, "high": 1.0}},
            "lr: -1.0 cannot be: learning_rate must be at least 0",
        ),
        ({"optimizer": ["adamw", "adm"]}, "'adm' cannot be: .*did you mean 'adam'"),
        ({"schedule": ["cosinus"]}, "'cosinus' cannot be"),
        ({"model": ["lstm", "gur"]}, "'gur' cannot be: model must be one of .*did you mean 'gru'"),
        ({"dropout": [0.0, 1.0]}, "1.0 cannot be: dropout is a share"),
    ],
)
def test_what_cannot_be_is_explained(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_space(given)
    assert str(caught.value).startswith("the search space")


def test_an_error_names_the_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("lr = []", encoding="utf-8")
    with pytest.raises(ValueError, match=r"space\.toml: lr has no values"):
        read_space(path)
    path.write_text("lr = [1,\nhidden", encoding="utf-8")
    with pytest.raises(ValueError, match=r"space\.toml is not TOML.*line 2"):
        read_space(path)
    with pytest.raises(FileNotFoundError):
        read_space(tmp_path / "no.toml")
