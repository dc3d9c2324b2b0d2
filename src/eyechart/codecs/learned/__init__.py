"""Learned codecs: neural transforms with real, range-coded bitstreams.

`layers` and `entropy` are the networks' parts, `coding` turns a latent into bytes and back, and one
module per architecture (`elic`, ...) defines in which order its latent is coded.
"""
