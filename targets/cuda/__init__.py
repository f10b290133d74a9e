"""From loops to what a GPU runs: TIR and a library of kernels as CUDA C, NVRTC, and the gates that every build passes.

Imports nouns, `boards`, `pass_list`, `tir_builder` and `exact`.
"""
