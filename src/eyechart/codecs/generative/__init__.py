"""Generative codecs: decoders that were trained to make natural images, not only close ones.

They stand on `codecs.learned`: its entropy models, its bitstreams and its way of loading weights.
"""
