"""Image codecs with real bitstreams: the rate counts all bytes that a decoder is given.

Built in: source (PNG), jpeg, webp, avif (Pillow); hevc, vvc, jpegxl (ffmpeg); hm, vtm (the
reference software of the user). Each is found by name through `eyechart.core.plugins`.
"""
