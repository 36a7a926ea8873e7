"""Look inside a trained model while it reads a text: attention, residual stream, logit lens, gradients."""
