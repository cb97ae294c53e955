"""One reader for each family of formats; none is imported before it is needed."""
