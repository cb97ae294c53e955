"""One module a file format: its scenes, and the pixels of one plane at a time."""
