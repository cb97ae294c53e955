"""A simulated microscope, an editor and five attacks, played for real."""
