"""From text to answer in one call, with the names of Hugging Face's ``transformers``."""

from minilm.pipelines.factory import pipeline as pipeline
from minilm.pipelines.text_classification import (
    TextClassificationPipeline as TextClassificationPipeline,
)
from minilm.pipelines.text_generation import TextGenerationPipeline as TextGenerationPipeline
