"""How good the evidence is: the matching of pictures, measured on real images beside other people's methods."""
