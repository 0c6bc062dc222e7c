//! One OCI client, and one file for each registry product.
