//! For development only: image, layer and advisory builders, a registry that rejects unexpected requests, contract suites.
