"""The model: its parameters, its layers, the GPT they make, and passes through it."""
