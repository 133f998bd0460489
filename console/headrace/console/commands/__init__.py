"""One module per command of `headrace`; each is imported only when it is called."""
