"""Estimates of what a plan will take, from what steps took before. Pure.

``sizes`` predicts the inputs of each step, ``prediction`` its seconds and memory, ``schedule`` when steps run beside
each other. ``estimate`` puts them together.
"""
