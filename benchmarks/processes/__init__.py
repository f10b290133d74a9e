"""Runtimes in processes of their own: a pipe, and a loop at its other end that imports NumPy alone."""
