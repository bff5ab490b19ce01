"""From a text to batches: reading, cutting, numbering, sampling, loading."""

from minilm.data.byte_pairs import train_bpe_tokenizer as train_bpe_tokenizer
from minilm.data.collate import UnevenItemsError as UnevenItemsError
from minilm.data.collate import default_collate as default_collate
from minilm.data.collators import (
    DataCollatorForLanguageModeling as DataCollatorForLanguageModeling,
)
from minilm.data.collators import DataCollatorWithPadding as DataCollatorWithPadding
from minilm.data.collators import default_data_collator as default_data_collator
from minilm.data.dataset import Dataset as Dataset
from minilm.data.dataset import Subset as Subset
from minilm.data.dataset import TensorDataset as TensorDataset
from minilm.data.dataset import TextDataset as TextDataset
from minilm.data.dataset import TokenDataset as TokenDataset
from minilm.data.dataset import random_split as random_split
from minilm.data.loader import DataLoader as DataLoader
from minilm.data.sampler import BatchSampler as BatchSampler
from minilm.data.sampler import RandomSampler as RandomSampler
from minilm.data.sampler import Sampler as Sampler
from minilm.data.sampler import SequentialSampler as SequentialSampler
from minilm.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from minilm.data.stream import StreamLoader as StreamLoader
from minilm.data.stream import Window as Window
from minilm.data.text import read_text as read_text
from minilm.data.tokenizer import encode_text as encode_text
from minilm.data.tokenizer import train_char_tokenizer as train_char_tokenizer
from minilm.data.tokenizer import train_word_tokenizer as train_word_tokenizer
from minilm.data.vocab import UnknownTokenError as UnknownTokenError
from minilm.data.vocab import Vocab as Vocab
from minilm.data.vocab import build_vocab_from_iterator as build_vocab_from_iterator
from minilm.data.word_tokenize import word_tokenize as word_tokenize
