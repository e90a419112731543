"""A new project: the files that ``e2i init`` writes, and a first spec for a table of the user's own."""
