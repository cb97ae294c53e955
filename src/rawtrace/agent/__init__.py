"""At the instrument: notices what is finished, seals it, loses nothing."""
