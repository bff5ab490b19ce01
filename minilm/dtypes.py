"""The element types of tensors: plain NumPy dtypes under PyTorch's names.

``minilm.float32 is np.dtype("float32")`` in all but identity, so a dtype can be given either way.
"""

from __future__ import annotations

import numpy as np

float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
bool_ = np.dtype(np.bool_)

half, double, long = float16, float64, int64
