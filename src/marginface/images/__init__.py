"""Encoded bytes -> uint8 RGB -> an aligned crop -> the float tensor that a model takes."""
