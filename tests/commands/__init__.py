"""Commands: what a person does, apart from pages and command line."""
