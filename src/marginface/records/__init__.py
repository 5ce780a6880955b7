"""Files on disk -> `Record`: encoded bytes, identity, landmarks, meta. And `EmbeddingTable`, what becomes of them."""
