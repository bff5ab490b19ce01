"""PyTorch's ``torch.nn.utils``: clipping of gradients, and ``rnn`` for sequences."""

from minilm.nn.utils import rnn as rnn
from minilm.nn.utils.clip_grad import clip_grad_norm_ as clip_grad_norm_
from minilm.nn.utils.clip_grad import clip_grad_value_ as clip_grad_value_
from minilm.nn.utils.clip_grad import clip_grads_with_norm_ as clip_grads_with_norm_
from minilm.nn.utils.clip_grad import get_total_norm as get_total_norm
