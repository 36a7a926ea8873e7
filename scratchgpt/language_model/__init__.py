"""A language model: structure, weights and tokenizer together; how it is loaded and saved."""
