"""Update rules: how a gradient changes the weights. They have no backward, so they are not pairs."""
