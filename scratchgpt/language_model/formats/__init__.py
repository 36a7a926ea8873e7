"""Models in and out: Hugging Face's format and hub, llama.cpp's GGUF, nanoGPT's checkpoints."""
