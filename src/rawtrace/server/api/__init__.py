"""What programs ask a trust store, one module a topic."""
