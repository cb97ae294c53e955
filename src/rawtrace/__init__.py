"""rawtrace: seals scientific images at the instrument and lets anybody check them."""
