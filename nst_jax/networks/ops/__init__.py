"""The operations of the networks: convolutions, pooling, padding, halo exchange."""
