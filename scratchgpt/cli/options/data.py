"""The option that names a text, the same for every command that reads one."""

DATA_HELP = (
    "the text: a file or folder, a pattern such as 'texts/*.md' (.txt, .md, .jsonl, .gz), - for standard "
    "input, or a built-in text"
)
