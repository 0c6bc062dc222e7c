//! Reads the layers nobody has read, merges, matches, judges and records one image.
