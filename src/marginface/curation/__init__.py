"""What is wrong with a data set, by its pictures and a model's embeddings: copies, wrong names, shared people."""
