"""How the weights of the codecs that ship with eyechart were made."""
