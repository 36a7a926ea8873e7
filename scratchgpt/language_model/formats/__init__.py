"""Other programs' formats: Hugging Face's files and hub, llama.cpp's GGUF, nanoGPT's checkpoints."""
