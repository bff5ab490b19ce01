"""Each tensor operation as a NumPy rule: the result and its gradient, side by side.

Nothing here knows of tensors or of the tape: rules take arrays and give arrays.
"""
