"""One call as data: what is to be sent, and what came back."""
