"""The C2PA seal: what it says, what it is bound to, how it is made and read."""
