"""Writing text with a trained model: one sampler for every kind of model."""

from minilm.generation.generate import generate
from minilm.generation.text import start_ids, stream_text

__all__ = ["generate", "start_ids", "stream_text"]
