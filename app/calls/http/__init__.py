"""One HTTP call: admitted, sent through the guard, followed, judged and written down."""
