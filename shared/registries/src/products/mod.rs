//! The registry products: one file each, and one line in [`PRODUCTS`].

pub(crate) mod oci;

use std::sync::Arc;

use tidewatch_core::config::{RegistryConfig, RegistryKind};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::RegistryError;

use crate::budget::Budget;
use crate::endpoint::Ports;
use crate::secrets::Login;

/// Opens a registry of one product, which pays for each request from the budget, if there is one.
pub(crate) type Open = fn(
    &RegistryConfig,
    Option<Login>,
    Ports,
    Option<Arc<Budget>>,
) -> Result<Arc<dyn Registry>, RegistryError>;

/// How each product is opened.
pub(crate) const PRODUCTS: &[(RegistryKind, Open)] = &[(RegistryKind::Oci, oci::open)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_this_folder_stands_in_the_table_under_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/products");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|file| file != "mod.rs")
            .collect();
        let table: BTreeSet<String> = PRODUCTS
            .iter()
            .map(|(kind, _)| serde_json::to_value(kind).unwrap().as_str().unwrap().replace('-', "_") + ".rs")
            .collect();
        assert_eq!(files, table);
    }
}
