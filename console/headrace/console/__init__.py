"""What people touch: the `headrace` command and the reference pages."""
