"""PyTorch's ``torch.utils.data``: the names of :mod:`minilm.data` that are PyTorch's."""

from minilm.data.collate import default_collate as default_collate
from minilm.data.dataset import Dataset as Dataset
from minilm.data.dataset import Subset as Subset
from minilm.data.dataset import TensorDataset as TensorDataset
from minilm.data.dataset import random_split as random_split
from minilm.data.loader import DataLoader as DataLoader
from minilm.data.sampler import BatchSampler as BatchSampler
from minilm.data.sampler import RandomSampler as RandomSampler
from minilm.data.sampler import Sampler as Sampler
from minilm.data.sampler import SequentialSampler as SequentialSampler
from minilm.data.sampler import SubsetRandomSampler as SubsetRandomSampler
