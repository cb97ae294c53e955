"""Compare: where a published picture lies in its original, what its curve is, and what these two do not explain."""
