"""What minilm is measured against: slow twins, cases, and stored PyTorch results."""
