"""Convert a source of embeddings to a store."""
