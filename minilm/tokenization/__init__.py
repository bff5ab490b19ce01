"""Text to ids and back, with the names of Hugging Face's ``transformers``."""

from minilm.tokenization.auto import AutoTokenizer as AutoTokenizer
from minilm.tokenization.batch_encoding import BatchEncoding as BatchEncoding
from minilm.tokenization.tokenizer import PreTrainedTokenizerFast as PreTrainedTokenizerFast
