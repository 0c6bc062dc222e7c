//! Inventories: what is stored is what is read, and what is no inventory is an error.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tidewatch_core::package::{Distribution, Location, Package, PackageType, SourcePackage};
use tidewatch_core::ports::Objects as _;
use tidewatch_core::problem::Problem;
use tidewatch_core::result::Inventory;
use tidewatch_core::{Digest, Retry, Retryable as _};

use crate::world::{World, acme};

prop_compose! {
    fn package()(
        kind in 0..PackageType::ALL.len(),
        (name, version, reader) in (".{0,8}", ".{0,8}", "[a-z]{1,4}"),
        architecture in option::of("[a-z0-9]{1,4}"),
        source in option::of(("[a-z]{1,4}", ".{0,4}")),
        license in option::of("[A-Z]{1,3}"),
        sha1 in option::of("[0-9a-f]{4}"),
        locations in vec((any::<[u8; 2]>(), "[a-z/]{1,6}"), 0..3),
    ) -> Package {
        let location = |(layer, path): ([u8; 2], String)| Location { layer: Digest::of(&layer), path };
        Package {
            package_type: PackageType::ALL[kind],
            name,
            version,
            architecture,
            source: source.map(|(name, version)| SourcePackage { name, version }),
            license,
            sha1,
            locations: locations.into_iter().map(location).collect(),
            reader,
        }
    }
}

prop_compose! {
    fn inventory()(
        distribution in option::of(("[a-z]{0,4}", option::of(".{0,4}"), ".{0,8}")),
        packages in vec(package(), 0..12),
        problems in vec((".{0,4}", ".{0,8}"), 0..3),
    ) -> Inventory {
        let distribution = distribution
            .map(|(id, version_id, pretty_name)| Distribution { id, version_id, pretty_name });
        let problems = problems.into_iter().map(|(subject, reason)| Problem { subject, reason }).collect();
        Inventory { distribution, packages, problems }
    }
}

fn key(hash: &Digest) -> String {
    format!("inventories/acme/{}.postcard", hash.hex())
}

proptest! {
    #[test]
    fn what_is_stored_is_what_is_read(inventory in inventory(), other in inventory()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::on_memory();
            let hash = world.records.put_inventory(&acme(), &inventory, None).await.unwrap();
            let read = world.records.inventory(&acme(), &hash).await.unwrap();
            prop_assert_eq!(read.as_ref(), Some(&inventory));
            let other_hash = world.records.put_inventory(&acme(), &other, Some(hash)).await.unwrap();
            prop_assert_eq!(hash == other_hash, inventory == other, "the hash is of the content");
            let read = world.records.inventory(&acme(), &other_hash).await.unwrap();
            prop_assert_eq!(read, Some(other));
            Ok(())
        })?;
    }

    #[test]
    fn what_is_no_inventory_is_an_error_or_another_inventory(
        inventory in inventory(), at in any::<prop::sample::Index>(), byte: u8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::on_memory();
            let hash = world.records.put_inventory(&acme(), &inventory, None).await.unwrap();
            let mut bytes = world.objects.get(&key(&hash)).await.unwrap().unwrap().to_vec();
            let at = at.index(bytes.len());
            let cut = Bytes::from(bytes[..at].to_vec());
            bytes[at] = byte;
            world.objects.put(&key(&hash), Bytes::from(bytes)).await.unwrap();
            let _ = world.records.inventory(&acme(), &hash).await;
            world.objects.put(&key(&hash), cut).await.unwrap();
            let error = world.records.inventory(&acme(), &hash).await.unwrap_err();
            prop_assert_eq!(error.retry(), Retry::Never);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn an_inventory_that_is_known_is_not_written_and_one_of_a_newer_version_is_refused() {
    let world = World::on_memory();
    let inventory = Inventory::default();
    let hash = world.records.put_inventory(&acme(), &inventory, None).await.unwrap();
    world.objects.put(&key(&hash), Bytes::from_static(&[2])).await.unwrap();
    assert_eq!(world.records.put_inventory(&acme(), &inventory, Some(hash)).await.unwrap(), hash);
    let error = world.records.inventory(&acme(), &hash).await.unwrap_err();
    assert!(error.to_string().contains("version 2 is not one this version reads"), "{error}");
    assert_eq!(world.records.inventory(&acme(), &Digest::of(b"another")).await.unwrap(), None);
}
