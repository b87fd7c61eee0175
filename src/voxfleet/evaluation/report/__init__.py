"""A run as a document: JSON with a schema, one HTML page of the same facts, and two runs compared."""
