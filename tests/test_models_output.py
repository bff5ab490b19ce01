import numpy as np
import pytest

import minilm
import minilm.nn.functional as F
from minilm.models.output import CausalLMOutput, asked, causal_lm_loss

LOGITS = minilm.zeros(2, 3, 5)


def test_parts_are_had_by_name_number_and_slice():
    loss = minilm.tensor(1.0)
    output = CausalLMOutput(loss=loss, logits=LOGITS)
    assert output.loss is output["loss"] is output[0] is loss
    assert output[1] is output[-1] is LOGITS
    assert output[:2] == output.to_tuple() == (loss, LOGITS)
    assert list(output) == ["loss", "logits"] == output.keys()
    assert len(output) == 2
    assert "loss" in output and "attentions" not in output


def test_parts_that_are_none_do_not_count():
    output = CausalLMOutput(logits=LOGITS)
    assert output[0] is LOGITS
    with pytest.raises(KeyError, match="no 'loss'; it has logits"):
        output["loss"]
    with pytest.raises(IndexError, match="has 1 parts: logits"):
        output[1]


def test_labels_are_shifted():
    minilm.manual_seed(0)
    logits, labels = minilm.randn(2, 3, 5), np.array([[0, 1, 2], [3, 4, -100]])
    expected = F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:])
    assert causal_lm_loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_wrong_labels_are_refused():
    with pytest.raises(ValueError, match=r"labels have shape \(2, 4\), expected \(2, 3\)"):
        causal_lm_loss(LOGITS, np.zeros((2, 4), np.int64))
    with pytest.raises(TypeError, match="labels is float32, expected integers"):
        causal_lm_loss(LOGITS, np.zeros((2, 3), np.float32))
    with pytest.raises(IndexError, match="target 5 at position"):
        causal_lm_loss(LOGITS, np.full((2, 3), 5))


def test_asked():
    assert (asked(None, True), asked(False, True), asked(True, False)) == (True, False, True)
