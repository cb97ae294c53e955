"""Is this the same picture? Finds it, aligns it, and shows what differs; knows no cryptography."""
