"""Loop nests of TVM functions, in vectors: what makes a schedule out of any element-wise function or reduction.

Imports nouns, `boards`, `pass_list`, `tir_builder` and `exact`.
"""
