"""Help: the project's documents as pages of the product, and which one fits the page somebody is on."""
