"""One module per command: PROG is the program's name, main(argv) runs it and returns its exit code.

`main` raises InputError for bad input; `cli.errors.exit_on_error` turns that into a line and exit code 2.
"""
