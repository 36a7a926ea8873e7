"""Text out of a trained model: prompts from a file, several at once, as text, in colours, as JSON lines."""
