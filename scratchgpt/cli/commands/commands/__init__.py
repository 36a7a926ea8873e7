"""What `scratchgpt COMMAND` can do, a module with `main(arguments)` for each."""
