"""Evidence in, report out: the numbered steps of docs/spec/verification.md."""
