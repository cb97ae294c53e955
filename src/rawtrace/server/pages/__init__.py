"""Pages for people: the same addresses as the interface for programs, in HTML for whoever prefers it.

A page is made from what its handler answers in JSON, so that both always say the same and ask for
the same roles. No page needs a script; none loads anything from elsewhere.
"""
