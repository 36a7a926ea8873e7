"""Language models: structure, weights and tokenizer together; loading, saving, other programs' formats."""
