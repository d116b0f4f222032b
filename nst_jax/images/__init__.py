"""Pictures: decoding and writing files, arrays, named pictures, colors, masks, thumbnails, video."""
