"""The bundled sample pictures that this project made or put together; see `nst_jax/images/bundled/README.md`."""
