"""The catalog of tools, their actions, and the types of inputs and outputs. In: tool declarations. Out: ``find``."""
