"""The history: the list of runs, the page of one run, and what a person does about them."""
