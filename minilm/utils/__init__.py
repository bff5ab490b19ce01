"""Tools under PyTorch's names: ``minilm.utils.checkpoint``."""
