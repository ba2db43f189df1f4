"""What is wrong with a flow before it may go live, in sentences."""
