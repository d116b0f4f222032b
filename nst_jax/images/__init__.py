"""Pictures in and out: files, names, and the drawing that stands in when a photograph cannot be fetched."""
