"""Learned codecs: neural transforms with real, range-coded bitstreams.

`layers` and `entropy` are the networks' parts, `coding` turns a latent into bytes and back, and one
module per architecture (`elic`, ...) says how its latent is walked through.
"""
