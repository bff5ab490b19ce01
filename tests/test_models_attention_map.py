import re
from xml.etree import ElementTree

import numpy as np
import pytest
from generation_helpers import gpt2

from minilm.heatmap import HeatMap, heat_maps, shown_name
from minilm.models import plot_attention

TOKENS = ["Ada", " <had>", " a", " key"]
SVG = "{http://www.w3.org/2000/svg}"
LOOK = {"output_attentions": True, "return_dict_in_generate": True, "do_sample": False}


def drawn(svg: str, tag: str, css: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(SVG + tag) if e.get("class") == css]


@pytest.fixture(scope="module")
def attentions():
    return gpt2()(np.array([[1, 2, 3, 4], [4, 3, 2, 1]]), output_attentions=True).attentions


def test_cells_lie_and_shine_as_their_values_say():
    values = np.array([[1.0, 0.0], [0.25, 0.5]])
    svg = heat_maps([HeatMap("one", values)], ["a", "b"], ["a", "b"], "share")
    cells = drawn(svg, "rect", "cell")
    tips = [cell.find(f"{SVG}title").text for cell in cells]
    assert tips == ["a → a: 1.000", "b → a: 0.250", "b → b: 0.500"]
    assert [float(cell.get("fill-opacity")) for cell in cells] == [1.0, 0.25, 0.5]
    first, below, right = ((float(c.get("x")), float(c.get("y"))) for c in cells)
    assert first[0] == below[0] < right[0] and first[1] < below[1] == right[1]
    assert len({cell.get("fill") for cell in cells}) == 1


def test_all_maps_have_one_scale():
    maps = [HeatMap("strong", np.array([[0.8]])), HeatMap("weak", np.array([[0.2]]))]
    strong, weak = drawn(heat_maps(maps, ["a"], ["a"], "share"), "rect", "cell")
    assert (strong.get("fill-opacity"), weak.get("fill-opacity")) == ("1.000", "0.250")


@pytest.mark.parametrize(("heads", "tokens"), [(1, 1), (3, 5), (12, 30), (4, 100)])
def test_nothing_lies_outside_or_on_something_else(heads, tokens):
    maps = [HeatMap(str(n), np.ones((tokens, tokens))) for n in range(heads)]
    names = ["x" * 14] * tokens
    root = ElementTree.fromstring(heat_maps(maps, names, names, "share"))
    width, height = float(root.get("width")), float(root.get("height"))
    corners = set()
    for cell in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(cell.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width and 0 <= y <= y + h <= height
        if cell.get("class") == "cell":
            corners.add((x, y))
    assert len(corners) == heads * tokens * tokens


def test_names_are_readable():
    assert [shown_name(n) for n in (" key", "Ġkey", "\n", "a" * 20)] == [
        "·key",
        "·key",
        "↵",
        "a" * 13 + "…",
    ]


def test_a_layers_heads_with_tokens_at_both_axes(attentions):
    drawing = plot_attention(attentions, TOKENS, layer=0, batch_index=1)
    np.testing.assert_array_equal(drawing.weights, attentions[0].detach().numpy()[1])
    texts = [e.text for e in drawn(drawing.svg(), "text", "label")]
    assert [t for t in texts if "head" in t] == [f"layer 0, head {n}" for n in range(3)]
    assert texts.count("·<had>") == 3 + 1  # above each map, and once on the left
    assert repr(drawing) == "<AttentionMap: layer 0, 3 heads, 4 x 4 tokens>"


def test_last_layer_and_some_heads(attentions):
    drawing = plot_attention(attentions, TOKENS, heads=[2, -3])
    assert (drawing.layer, drawing.heads) == (1, [2, 0])
    np.testing.assert_array_equal(drawing.weights, attentions[1].detach().numpy()[0, [2, 0]])
    alone = plot_attention(attentions[1], TOKENS)  # a layer by itself
    np.testing.assert_array_equal(alone.weights[2], drawing.weights[0])


def test_new_queries_are_the_last_tokens(attentions):
    drawing = plot_attention(attentions[1][:, :, 2:], TOKENS)
    left = [e.text for e in drawn(drawing.svg(), "text", "label") if e.get("text-anchor") == "end"]
    assert left == ["·a", "·key"]


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("beams", [1, 3])
def test_steps_of_a_written_text_make_what_reading_it_makes(use_cache, beams):
    model = gpt2()
    options = {"use_cache": use_cache, "num_beams": beams, **LOOK}
    out = model.generate([[1, 2, 3], [3, 2, 1]], 5, **options)
    rows = out.beam_indices[1] if beams > 1 else 1
    tokens = [str(i) for i in out.sequences.tolist()[1]]
    drawing = plot_attention(out.attentions, tokens, batch_index=rows)
    read = model(out.sequences.numpy()[1:, :-1], output_attentions=True).attentions[-1]
    np.testing.assert_allclose(drawing.weights, read.detach().numpy()[0], atol=1e-5)
    assert drawing.tokens == tokens[:-1]


def test_it_shows_itself_and_is_saved(attentions, tmp_path):
    drawing = plot_attention(attentions, TOKENS)
    html = drawing._repr_html_()
    assert html.startswith('<div class="minilm">') and drawing.svg() in html
    drawing.save(tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag == f"{SVG}svg"
    assert re.search(r'<rect width="100%" height="100%" fill="white"/>', text)
    with pytest.raises(ValueError, match=r"'map.png' should end in .svg"):
        drawing.save(tmp_path / "map.png")


def test_mistakes_are_explained(attentions):
    for arguments, error, message in [
        ((None, TOKENS), TypeError, "call the model with output_attentions=True"),
        (("text", TOKENS), TypeError, "expected output.attentions, a tuple"),
        ((attentions, TOKENS[:2]), ValueError, "there are 2 tokens, but attention is on 4"),
        ((attentions, [1, 2, 3, 4]), TypeError, "convert_ids_to_tokens.ids. gives them, got int"),
        ((attentions, TOKENS, 2), IndexError, "layer 2 is not one of 2, 0 to 1"),
        ((attentions, TOKENS, 0, [3]), IndexError, "heads 3 is not one of 3"),
        ((attentions, TOKENS, 0, []), ValueError, "heads is empty"),
        ((attentions, TOKENS, 0, None, 2), IndexError, "batch_index 2 is not one of 2"),
        ((attentions, TOKENS, 0, None, [0, 0]), ValueError, "2 rows, but attentions have 1 steps"),
        (([np.ones((4, 4))], TOKENS), ValueError, r"got the shape \(4, 4\)"),
        (([np.ones((1, 1, 101, 101))], ["a"] * 101), ValueError, "map of 101 tokens could not"),
    ]:
        with pytest.raises(error, match=message):
            plot_attention(*arguments)


def test_a_text_that_moved_is_not_put_together():
    out = gpt2().generate(list(np.arange(38) % 7), 5, **LOOK)
    with pytest.raises(ValueError, match="step 3 looks at 40 tokens, expected 41: the positions"):
        plot_attention(out.attentions, ["a"] * 43)


def test_titles_of_small_maps_do_not_run_into_each_other(attentions):
    one = [layer[:, :, :1, :1] for layer in attentions]
    titles = [
        e for e in drawn(plot_attention(one, ["a"]).svg(), "text", "label") if "head" in e.text
    ]
    starts = [float(e.get("x")) for e in titles]
    assert min(np.diff(starts)) > 7 * len(titles[0].text)
