import queue
import threading

import numpy as np
import pytest
from training_helpers import tiny_model

import minilm
from minilm.data.tokenizer import train_char_tokenizer, train_word_tokenizer
from minilm.generation import TextIteratorStreamer, TextStreamer, generate
from minilm.models import RNNModel
from minilm.tokenization import PreTrainedTokenizerFast

TEXT = "The cat sat on the mat, naïve.\n"


def model_for(tokenizer) -> RNNModel:
    minilm.manual_seed(0)
    return RNNModel(tokenizer.get_vocab_size(), 4, 8)


@pytest.mark.parametrize("train", [train_char_tokenizer, train_word_tokenizer])
@pytest.mark.parametrize("skip_prompt", [False, True])
def test_the_text_is_printed_as_it_is_written(train, skip_prompt, capsys):
    tokenizer = train(TEXT)
    ids = tokenizer.encode("The cat").ids
    streamer = TextStreamer(tokenizer, skip_prompt)
    for _ in range(2):  # it can be used again
        out = generate(model_for(tokenizer), ids, 20, seed=0, streamer=streamer).tolist()
        text = tokenizer.decode(out, skip_special_tokens=False)
        expected = text[len("The cat") :] if skip_prompt else text
        assert capsys.readouterr().out == expected + "\n"


def test_pieces_come_one_by_one_from_another_thread():
    tokenizer = train_char_tokenizer(TEXT)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    streamer = TextIteratorStreamer(wrapped, timeout=30)
    ids = [tokenizer.encode("The").ids]
    model = model_for(tokenizer)
    options = {"max_new_tokens": 15, "seed": 0, "streamer": streamer}
    thread = threading.Thread(target=model.generate, args=(ids,), kwargs=options)
    thread.start()
    pieces = list(streamer)
    thread.join()
    expected = tokenizer.decode(model.generate(ids, 15, seed=0)[0].tolist())
    assert "".join(pieces) == expected and len(pieces) > 10


def test_a_reader_does_not_wait_for_a_text_that_failed():
    streamer = TextIteratorStreamer(train_char_tokenizer(TEXT), timeout=30)
    with pytest.raises(IndexError):
        generate(tiny_model(), [1], 3, streamer=streamer, suppress_tokens=[99], min_p=0.1)
    assert "".join(streamer) == "\n"  # the prompt


def test_waiting_too_long_is_an_error():
    with pytest.raises(queue.Empty):
        next(TextIteratorStreamer(train_char_tokenizer(TEXT), timeout=0.01))


def test_special_tokens_can_be_left_out(capsys):
    tokenizer = train_char_tokenizer(TEXT)
    tokenizer.add_special_tokens(["<end>"])
    end = tokenizer.token_to_id("<end>")
    for skip in (True, False):
        streamer = TextStreamer(tokenizer, skip_special_tokens=skip)
        streamer.put(np.array([tokenizer.encode("cat").ids]))
        streamer.put(np.array([end]))
        streamer.end()
    assert capsys.readouterr().out == "cat\ncat<end>\n"


def test_characters_of_several_tokens_come_whole(capsys):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    pieces = []

    class Pieces(TextStreamer):
        def on_finalized_text(self, text, stream_end=False):
            pieces.append(text)

    streamer = Pieces(tokenizer)
    ids = tokenizer.encode("“a").ids
    for token in [*ids, ids[0]]:
        streamer.put(np.array([token]))
    streamer.end()
    assert pieces == ["“", "a", "\ufffd"]


def test_several_texts_cannot_be_printed():
    streamer = TextStreamer(train_char_tokenizer(TEXT))
    with pytest.raises(ValueError, match="one text at a time; got 2"):
        generate(tiny_model(), [[1], [2]], 3, streamer=streamer)


def test_one_taker_of_tokens_is_enough():
    streamer = TextStreamer(train_char_tokenizer(TEXT))
    with pytest.raises(ValueError, match="give one"):
        generate(tiny_model(), [1], 3, streamer=streamer, on_token=print)
