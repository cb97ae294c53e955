"""Pixels and what was recorded with them; knows no cryptography."""
