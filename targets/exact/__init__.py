"""The same bits on every processor: our own exp and tanh, and passes that keep TVM and LLVM from changing a sum.

Imports nouns, `families` and `tir_builder`: both kernels and compiler stand on this.
"""
