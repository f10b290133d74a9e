"""From that function to ONNX: a dry run that is watched, the trace, and words for what fails.

Imports nouns, `shared`, `step_call`, `state` and `wrapping`.
"""
