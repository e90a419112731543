"""Parameters and outputs of the actions of the model tool, by theme. In: nothing. Out: models of pydantic."""
