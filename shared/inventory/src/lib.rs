//! Layer bytes to packages, and layers to one image: synchronous, bounded memory, no network.
