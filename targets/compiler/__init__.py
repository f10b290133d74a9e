"""The passes that turn a step graph into one native function, in the order of the pipeline.

import_graph → find_spikes → legalize → step_program → choose_kernels → merge_elementwise → plan_memory → schedule →
build_object → make_manifest. `schedule` guards what the simplifier would break (guard_floats); `build_object` makes the
arithmetic the same everywhere (select_casts, guard_divisions, exact_intrinsics, hoist_lets, widen_halves,
fence_products). Imports nouns, what lies below `compiler`, and its rooms.
"""
