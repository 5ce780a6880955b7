"""Records -> batches of uint8 crops: which, in what order, by how many processes. None of it depends on the last."""
