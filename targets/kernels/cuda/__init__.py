"""Kernels of the CUDA C library (`library/*.cuh`): who calls which function of it, and its text.

Imports `families`, `precision`, `targets.cuda`, `products` and `convolutions`.
"""
