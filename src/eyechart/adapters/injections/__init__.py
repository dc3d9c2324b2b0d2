"""The built-in injections, one file each (entry points `eyechart.injections`).

none             the condition is not used; only the encoder is fine-tuned
rope_angle       added to the rotary angles of every patch (paper Section 4.1, literally)
rope_cos_sin     added to the cosine and sine values instead
patch_embedding  added to every patch embedding
adaln            scale and shift after every norm (Perez et al. 2018; Peebles and Xie 2023)
"""
