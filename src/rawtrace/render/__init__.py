"""A report as text and as one self-contained page."""
