"""ONNX operators that TVM's importer lacks, or has wrongly, written with operators that it has.

Imports nouns.
"""
