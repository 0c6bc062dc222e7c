//! The registry products: one file each, and one line in [`PRODUCTS`].

pub(crate) mod acr;
pub(crate) mod docker_hub;
pub(crate) mod ecr;
pub(crate) mod ecr_public;
pub(crate) mod google;
pub(crate) mod harbor;
pub(crate) mod jfrog;
pub(crate) mod oci;
pub(crate) mod openshift;
pub(crate) mod quay;

use std::sync::Arc;

use async_trait::async_trait;
use tidewatch_core::Digest;
use tidewatch_core::config::RegistryKind;
use tidewatch_core::image::ManifestReference;
use tidewatch_core::names::{RepositoryName, Tag};
use tidewatch_core::ports::Registry;
use tidewatch_core::ports::registry::{
    BlobStream, ListPage, ListedTag, ListingTells, RawManifest, Referrer, RegistryError,
};

use crate::opening::Opening;
use crate::rights::Rights;
use oci::OciClient;

/// One product.
pub(crate) struct Product {
    pub(crate) kind: RegistryKind,
    /// Opens a registry of it. Nothing is asked of it yet.
    pub(crate) open: fn(&Opening) -> Result<Arc<dyn Registry>, RegistryError>,
    /// What its credentials need to be allowed, and how that is granted there.
    pub(crate) rights: Rights,
}

/// Every product.
#[rustfmt::skip]
pub(crate) const PRODUCTS: &[Product] = &[
    Product { kind: RegistryKind::DockerHub, open: docker_hub::open, rights: docker_hub::RIGHTS },
    Product { kind: RegistryKind::Acr, open: acr::open, rights: acr::RIGHTS },
    Product { kind: RegistryKind::Ecr, open: ecr::open, rights: ecr::RIGHTS },
    Product { kind: RegistryKind::EcrPublic, open: ecr_public::open, rights: ecr_public::RIGHTS },
    Product { kind: RegistryKind::Quay, open: quay::open, rights: quay::RIGHTS },
    Product { kind: RegistryKind::Google, open: google::open, rights: google::RIGHTS },
    Product { kind: RegistryKind::Harbor, open: harbor::open, rights: harbor::RIGHTS },
    Product { kind: RegistryKind::Jfrog, open: jfrog::open, rights: jfrog::RIGHTS },
    Product { kind: RegistryKind::Openshift, open: openshift::open, rights: openshift::RIGHTS },
    // The last one reads whatever speaks the distribution specification.
    Product { kind: RegistryKind::Oci, open: oci::open, rights: oci::RIGHTS },
];

/// The product of this kind.
pub(crate) fn product(kind: RegistryKind) -> &'static Product {
    PRODUCTS.iter().find(|product| product.kind == kind).unwrap_or(&PRODUCTS[PRODUCTS.len() - 1])
}

/// What a product lists by an API of its own.
#[async_trait]
pub(crate) trait Listings: Send + Sync {
    /// What the listings of tags say.
    fn tells(&self) -> ListingTells;

    /// A page of the repositories, where the configuration does not name them.
    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError>;

    /// A page of the tags of `repository`.
    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError>;
}

/// A registry that lists by an API of its own, and is read as the distribution specification says.
pub(crate) struct WithListings<L> {
    pub(crate) oci: OciClient,
    pub(crate) listings: L,
}

#[async_trait]
impl<L: Listings> Registry for WithListings<L> {
    fn tells(&self) -> ListingTells {
        self.listings.tells()
    }

    async fn ping(&self) -> Result<(), RegistryError> {
        self.oci.ping().await
    }

    async fn repositories(&self, cursor: Option<&str>) -> Result<ListPage<RepositoryName>, RegistryError> {
        match self.oci.named_repositories() {
            Some(named) => Ok(named),
            None => self.listings.repositories(cursor).await,
        }
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        cursor: Option<&str>,
    ) -> Result<ListPage<ListedTag>, RegistryError> {
        self.listings.tags(repository, cursor).await
    }

    async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Digest, RegistryError> {
        self.oci.resolve(repository, tag).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestReference,
    ) -> Result<RawManifest, RegistryError> {
        self.oci.manifest(repository, reference).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Referrer>, RegistryError> {
        self.oci.referrers(repository, digest).await
    }

    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        self.oci.blob(repository, digest).await
    }
}

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
        let table: BTreeSet<String> =
            PRODUCTS.iter().map(|product| product.kind.as_str().replace('-', "_") + ".rs").collect();
        assert_eq!(files, table);
    }
}
