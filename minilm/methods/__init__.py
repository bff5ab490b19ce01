"""What one can do with a tensor: PyTorch's methods, each a line that applies a rule.

The files mirror those of `minilm.rules`, where the arithmetic and the gradients are. Conventions
of all methods: `dim` counts axes from 0, or from the end with -1; operands may be tensors, NumPy
arrays or numbers, and they broadcast; results are new tensors, unless the name ends in ``_``.
"""
