"""AstroSNN beside llama.cpp: networks of the same size in GGUF and as bundles, each stepped in a process of its own."""
