"""Inversion of image representations (Mahendran and Vedaldi): a transfer with no style and a natural-image prior."""
