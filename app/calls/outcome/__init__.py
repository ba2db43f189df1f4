"""What an answer or an error means, in a sentence, and how long to wait."""
