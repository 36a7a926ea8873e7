"""`scratchgpt chat`: a conversation with a model that was trained on dialogues."""
