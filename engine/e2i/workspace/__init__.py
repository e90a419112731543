"""The user's project: the files that specs may name, their git revision, and the path of a spec through the project."""
