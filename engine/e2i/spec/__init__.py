"""Reads specs. In: YAML text. Out: a ``PipelineSpec`` with the location of every value, or all of its problems."""
