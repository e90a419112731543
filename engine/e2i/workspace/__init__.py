"""The user's project: the files that specs may name, what git says of them, and the way of a spec through it."""
