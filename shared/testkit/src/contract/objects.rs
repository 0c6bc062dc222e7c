//! The contract of the [`Objects`] port. Every promise is a function that takes fresh, empty object storage.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tidewatch_core::ports::Objects;
use tidewatch_core::ports::objects::ObjectsError;

/// Makes a module `$backend` with one test for each promise of object storage. `$make` is an `async fn()` that gives a fresh
/// `Arc<dyn Objects>` as [`Fresh`](crate::contract::Fresh) says.
#[macro_export]
macro_rules! objects_contract {
    (@tests $backend:ident, $make:path, $($promise:ident),+ $(,)?) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    let fresh = $crate::contract::Fresh::fresh($make().await);
                    let Some((objects, _kept)) = fresh else { return };
                    $crate::contract::objects::$promise(objects).await;
                }
            )+
        }
    };
    ($backend:ident, $make:path) => {
        $crate::objects_contract!(@tests $backend, $make,
            a_put_object_is_read_back,
            a_file_is_stored_and_written_back_whatever_its_size,
            a_key_without_an_object_reads_as_none,
            a_put_replaces_the_object,
            a_delete_removes_the_object_and_may_be_repeated,
            a_list_gives_the_keys_under_a_prefix_sorted,
            keys_that_are_none_are_refused,
            readers_see_a_whole_object_while_it_is_replaced,
        );
    };
}

async fn put(objects: &Arc<dyn Objects>, key: &str, bytes: &[u8]) {
    objects.put(key, Bytes::copy_from_slice(bytes)).await.unwrap();
}

/// Also an empty one and one of a few MiB.
pub async fn a_put_object_is_read_back(objects: Arc<dyn Objects>) {
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3_000_001).collect();
    for (key, bytes) in [("small", &b"tide"[..]), ("some/Empty_one.json", b""), ("a/b/c/d-1", &large)] {
        put(&objects, key, bytes).await;
        assert!(objects.get(key).await.unwrap().unwrap() == bytes, "{key} is read back");
    }
}

/// Also one that is larger than what is kept in memory of it: nothing tells how an object was stored.
pub async fn a_file_is_stored_and_written_back_whatever_its_size(objects: Arc<dyn Objects>) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for (length, already) in [(0, 100), (5, 0), (16 << 20, 5), ((33 << 20) + 1, 40 << 20)] {
        let bytes: Vec<u8> = (0..length).map(|number: u32| (number / 7 % 251) as u8).collect();
        std::fs::write(&from, &bytes).unwrap();
        std::fs::write(&to, vec![1; already]).unwrap();
        objects.put_file("a/file.zip", &from).await.unwrap();
        assert!(objects.get_file("a/file.zip", &to).await.unwrap());
        assert!(std::fs::read(&to).unwrap() == bytes, "{length} bytes are written back");
        assert!(objects.get("a/file.zip").await.unwrap().unwrap() == bytes, "{length} bytes are read back");
    }
    assert!(!objects.get_file("a/other.zip", &to).await.unwrap());
    let outcome = objects.put_file("a/other.zip", &folder.path().join("none")).await;
    assert!(matches!(outcome, Err(ObjectsError::File { .. })), "{outcome:?}");
    let outcome = objects.get_file("a/file.zip", &folder.path().join("none/to")).await;
    assert!(matches!(outcome, Err(ObjectsError::File { .. })), "{outcome:?}");
    assert_eq!(objects.list("a/").await.unwrap(), ["a/file.zip"]);
}

/// Also a key that only other keys begin with.
pub async fn a_key_without_an_object_reads_as_none(objects: Arc<dyn Objects>) {
    put(&objects, "layers/acme/1.json", b"1").await;
    for key in ["never", "layers/acme/1.jso", "layers/acme/1.json.gz", "layers/other/1.json"] {
        assert_eq!(objects.get(key).await.unwrap(), None, "{key}");
    }
}

/// With a shorter one, too.
pub async fn a_put_replaces_the_object(objects: Arc<dyn Objects>) {
    put(&objects, "a/b", b"the first one").await;
    put(&objects, "a/b", b"second").await;
    assert_eq!(objects.get("a/b").await.unwrap().unwrap(), &b"second"[..]);
}

/// Its neighbours stay.
pub async fn a_delete_removes_the_object_and_may_be_repeated(objects: Arc<dyn Objects>) {
    put(&objects, "a/b", b"1").await;
    put(&objects, "a/c", b"2").await;
    for _ in 0..2 {
        objects.delete("a/b").await.unwrap();
        assert_eq!(objects.get("a/b").await.unwrap(), None);
    }
    objects.delete("never/there").await.unwrap();
    assert_eq!(objects.list("").await.unwrap(), ["a/c"]);
}

/// Over all levels, and not what only begins with the same letters.
pub async fn a_list_gives_the_keys_under_a_prefix_sorted(objects: Arc<dyn Objects>) {
    for key in ["a/2", "a/10", "a/b/c", "a/b-", "ab/1", "A/1", "b"] {
        put(&objects, key, b"x").await;
    }
    assert_eq!(objects.list("a/").await.unwrap(), ["a/10", "a/2", "a/b-", "a/b/c"]);
    assert_eq!(objects.list("a/b/").await.unwrap(), ["a/b/c"]);
    assert_eq!(objects.list("none/").await.unwrap(), [""; 0]);
    let all = ["A/1", "a/10", "a/2", "a/b-", "a/b/c", "ab/1", "b"];
    assert_eq!(objects.list("").await.unwrap(), all);
}

/// By every operation: nothing outside the storage can be named.
pub async fn keys_that_are_none_are_refused(objects: Arc<dyn Objects>) {
    for key in
        ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a b", "a\\b", "é", "a%2fb", "a\0", "a:b"]
    {
        let refused = [
            objects.get(key).await.map(drop),
            objects.put(key, Bytes::from_static(b"x")).await,
            objects.get_file(key, Path::new("/dev/null")).await.map(drop),
            objects.put_file(key, Path::new("/dev/null")).await,
            objects.delete(key).await,
        ];
        for result in refused {
            assert!(matches!(result, Err(ObjectsError::InvalidKey { .. })), "{key:?}: {result:?}");
        }
    }
    for prefix in ["a", "/", "../", "a//", "a b/"] {
        let result = objects.list(prefix).await;
        assert!(matches!(result, Err(ObjectsError::InvalidKey { .. })), "{prefix:?}: {result:?}");
    }
}

/// The old one or the new one, never a part or none.
pub async fn readers_see_a_whole_object_while_it_is_replaced(objects: Arc<dyn Objects>) {
    let version = |n: u8| vec![n; 100_000];
    put(&objects, "a", &version(0)).await;
    let writer = async {
        for n in 1..=20 {
            put(&objects, "a", &version(n)).await;
        }
    };
    let reader = async {
        for _ in 0..40 {
            let seen = objects.get("a").await.unwrap().expect("the object is always there");
            assert!(seen == version(seen[0]), "one whole version");
        }
    };
    futures::future::join(writer, reader).await;
}
