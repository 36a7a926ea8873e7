"""Text out of a trained model: prompts from a file, several at once, as text, in colors, as JSON lines."""
