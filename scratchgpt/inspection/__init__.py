"""What happens inside a trained model when it reads a text."""
