"""Values on their way: templates, JSONPath, and values as text, numbers and moments."""
