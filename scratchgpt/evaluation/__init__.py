"""How well a model predicts text: losses, log-probabilities of tokens, and other units for a loss."""
