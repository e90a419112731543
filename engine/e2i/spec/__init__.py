"""What a user wrote. In: YAML text. Out: a ``PipelineSpec`` with the place of every part, or all of its problems."""
