"""Text from a step, as numbers: each token drawn from the scores of the last, on a device or for a host.

Imports nouns, nothing heavier than NumPy.
"""
