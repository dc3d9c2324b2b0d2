"""Codecs whose decoder is Stable Diffusion: DiffEIC, RDEIC and StableCodec.

    image -> VAE encoder -> latent codec -> bitstream -> latent codec -> condition
                                                                             |
                         image <- VAE decoder <- denoised latent <- UNet, sampler

The latent codecs and the control module are written here. UNet, VAE and text encoder are those of
diffusers and transformers (`pip install 'eyechart[diffusion]'`); the base model is a folder of the
user's.
"""
