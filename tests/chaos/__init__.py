"""What becomes of runs when processes die, files rot and many start at once; `make chaos` runs all of it."""
