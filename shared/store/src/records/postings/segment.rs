//! A segment of the postings: for some images, which of them have a key. An object by content hash, never changed.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tidewatch_core::Digest;
use tidewatch_core::image::{ImageId, Platform};

/// The version of this form.
const VERSION: u32 = 1;

/// An image that is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedImage {
    /// The image.
    pub image: ImageId,
    /// Content hash of the inventory whose keys are posted.
    pub inventory: Digest,
}

/// Images, and for each key those that have it. Keys are hashes; what they are of is for those who make them to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    images: Vec<PostedImage>,
    /// Sorted.
    keys: Vec<u64>,
    /// For each key the number of its list.
    list_of: Vec<u32>,
    /// Numbers of images, in order; keys that the same images have share a list.
    lists: Vec<Vec<u32>>,
}

/// As stored, in postcard's format: keys and lists as differences, digests as bytes.
#[derive(Serialize, Deserialize)]
struct Packed {
    version: u32,
    platforms: Vec<String>,
    platform_of: Vec<u32>,
    digests: Vec<[u8; 32]>,
    inventories: Vec<[u8; 32]>,
    keys: Vec<u64>,
    list_of: Vec<u32>,
    lists: Vec<Vec<u32>>,
}

impl Segment {
    /// The images, in the order in which they were added.
    pub fn images(&self) -> &[PostedImage] {
        &self.images
    }

    /// Those that have one of `keys`, which are sorted.
    pub fn images_with<'a>(&'a self, keys: &[u64]) -> impl Iterator<Item = &'a ImageId> + use<'a> {
        let mut lists: BTreeSet<u32> = BTreeSet::new();
        // The shorter side is walked, the other one searched.
        if keys.len() < self.keys.len() {
            let found = keys.iter().filter_map(|key| self.keys.binary_search(key).ok());
            lists.extend(found.map(|position| self.list_of[position]));
        } else {
            let found = self.keys.iter().zip(&self.list_of);
            lists.extend(found.filter(|(key, _)| keys.binary_search(key).is_ok()).map(|(_, list)| list));
        }
        let numbers: BTreeSet<u32> =
            lists.into_iter().flat_map(|list| &self.lists[list as usize]).copied().collect();
        numbers.into_iter().map(|number| &self.images[number as usize].image)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut platforms: Vec<String> = Vec::new();
        let mut numbers: HashMap<&Platform, u32> = HashMap::new();
        let mut platform_of = Vec::with_capacity(self.images.len());
        for PostedImage { image, .. } in &self.images {
            platform_of.push(*numbers.entry(&image.platform).or_insert_with(|| {
                platforms.push(image.platform.to_string());
                number(platforms.len() - 1)
            }));
        }
        postcard::to_allocvec(&Packed {
            version: VERSION,
            platforms,
            platform_of,
            digests: self.images.iter().map(|posted| posted.image.digest.to_bytes()).collect(),
            inventories: self.images.iter().map(|posted| posted.inventory.to_bytes()).collect(),
            keys: differences(&self.keys),
            list_of: self.list_of.clone(),
            lists: self.lists.iter().map(|list| differences(list)).collect(),
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        // The number alone first: what follows it may have another form.
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!("version {version} is not one this version reads"));
        }
        let packed: Packed = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        packed.segment().ok_or_else(|| "its parts do not belong together".to_owned())
    }
}

impl Packed {
    /// `None` where it names what it does not have.
    fn segment(self) -> Option<Segment> {
        let platforms: Vec<Platform> =
            self.platforms.iter().map(|platform| platform.parse().ok()).collect::<Option<_>>()?;
        let count = self.digests.len();
        if (self.inventories.len(), self.platform_of.len(), self.list_of.len())
            != (count, count, self.keys.len())
        {
            return None;
        }
        let image = |((digest, inventory), platform): ((&[u8; 32], &[u8; 32]), &u32)| {
            let platform = platforms.get(*platform as usize)?.clone();
            let image = ImageId { digest: Digest::from_bytes(*digest), platform };
            Some(PostedImage { image, inventory: Digest::from_bytes(*inventory) })
        };
        let images = self.digests.iter().zip(&self.inventories).zip(&self.platform_of);
        let lists: Vec<Vec<u32>> = self.lists.iter().map(|list| sums(list)).collect::<Option<_>>()?;
        let has_all = |list: &Vec<u32>| list.iter().all(|number| (*number as usize) < count);
        let is_whole =
            lists.iter().all(has_all) && self.list_of.iter().all(|list| (*list as usize) < lists.len());
        is_whole.then_some(())?;
        let (images, keys) = (images.map(image).collect::<Option<_>>()?, sums(&self.keys)?);
        Some(Segment { images, keys, list_of: self.list_of, lists })
    }
}

/// The numbers as differences of each from the one before.
fn differences<T: Copy + Default + std::ops::Sub<Output = T>>(sorted: &[T]) -> Vec<T> {
    let before = std::iter::once(T::default()).chain(sorted.iter().copied());
    sorted.iter().zip(before).map(|(number, before)| *number - before).collect()
}

/// The numbers of which these are the differences; `None` when they leave their range.
fn sums<T: Copy + Into<u64> + TryFrom<u64>>(differences: &[T]) -> Option<Vec<T>> {
    let mut sum = 0_u64;
    let add = |difference: &T| {
        sum = sum.checked_add((*difference).into())?;
        T::try_from(sum).ok()
    };
    differences.iter().map(add).collect()
}

/// There are never so many: a segment holds some thousand images.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Makes a segment.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    images: Vec<PostedImage>,
    lists: HashMap<u64, Vec<u32>>,
}

impl SegmentBuilder {
    /// Without images.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of images so far.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Adds an image, which has these keys.
    pub fn add(&mut self, image: PostedImage, keys: impl IntoIterator<Item = u64>) {
        let number = number(self.images.len());
        self.images.push(image);
        for key in keys {
            let list = self.lists.entry(key).or_default();
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
    }

    /// Adds those images of a segment that `keep` says to keep.
    pub fn add_segment(&mut self, segment: &Segment, mut keep: impl FnMut(&PostedImage) -> bool) {
        let mut numbers = Vec::with_capacity(segment.images.len());
        for posted in &segment.images {
            let kept = keep(posted).then(|| number(self.images.len()));
            if kept.is_some() {
                self.images.push(posted.clone());
            }
            numbers.push(kept);
        }
        for (key, list) in segment.keys.iter().zip(&segment.list_of) {
            let list = &segment.lists[*list as usize];
            let kept: Vec<u32> = list.iter().filter_map(|number| numbers[*number as usize]).collect();
            if !kept.is_empty() {
                self.lists.entry(*key).or_default().extend(kept);
            }
        }
    }

    /// The segment.
    pub fn build(self) -> Segment {
        let mut by_key: Vec<(u64, Vec<u32>)> = self.lists.into_iter().collect();
        by_key.sort_unstable();
        let mut segment = Segment { images: self.images, ..Segment::default() };
        let mut numbers: HashMap<Vec<u32>, u32> = HashMap::new();
        for (key, list) in by_key {
            let next = number(numbers.len());
            segment.keys.push(key);
            segment.list_of.push(*numbers.entry(list).or_insert(next));
        }
        segment.lists = vec![Vec::new(); numbers.len()];
        for (list, number) in numbers {
            segment.lists[number as usize] = list;
        }
        segment
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn posted(number: usize) -> PostedImage {
        let platform =
            if number.is_multiple_of(3) { Platform::linux_arm64() } else { Platform::linux_amd64() };
        let image = ImageId { digest: Digest::of(&number.to_le_bytes()), platform };
        PostedImage { image, inventory: Digest::of(&[u8::try_from(number % 7).unwrap()]) }
    }

    fn build(images: &[BTreeSet<u64>], first: usize) -> Segment {
        let mut builder = SegmentBuilder::new();
        for (number, keys) in images.iter().enumerate() {
            builder.add(posted(first + number), keys.iter().copied());
        }
        builder.build()
    }

    fn key() -> impl Strategy<Value = u64> {
        prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)]
    }

    fn images() -> impl Strategy<Value = Vec<BTreeSet<u64>>> {
        vec(btree_set(key(), 0..8), 0..30)
    }

    fn expected(images: &[BTreeSet<u64>], keys: &BTreeSet<u64>) -> Vec<ImageId> {
        let has_one = |(_, of_image): &(usize, &BTreeSet<u64>)| !of_image.is_disjoint(keys);
        images.iter().enumerate().filter(has_one).map(|(number, _)| posted(number).image).collect()
    }

    fn found(segment: &Segment, keys: &BTreeSet<u64>) -> Vec<ImageId> {
        let keys: Vec<u64> = keys.iter().copied().collect();
        segment.images_with(&keys).cloned().collect()
    }

    proptest! {
        #[test]
        fn the_images_with_a_key_are_found_also_after_storing(
            images in images(), keys in btree_set(key(), 0..40),
        ) {
            let segment = build(&images, 0);
            prop_assert_eq!(found(&segment, &keys), expected(&images, &keys));
            let bytes = segment.to_bytes().unwrap();
            prop_assert_eq!(Segment::from_bytes(&bytes), Ok(segment));
        }

        #[test]
        fn segments_put_together_hold_what_is_kept_of_both(
            one in images(), other in images(), keep in vec(any::<bool>(), 60), keys in btree_set(key(), 0..40),
        ) {
            let kept = |image: &ImageId| {
                let number = (0..60).find(|number| posted(*number).image == *image).unwrap();
                keep[number]
            };
            let mut builder = SegmentBuilder::new();
            builder.add_segment(&build(&one, 0), |posted| kept(&posted.image));
            builder.add_segment(&build(&other, one.len()), |posted| kept(&posted.image));
            let segment = builder.build();
            let all = [one, other].concat();
            let mut expected = expected(&all, &keys);
            expected.retain(kept);
            prop_assert_eq!(found(&segment, &keys), expected);
            prop_assert_eq!(segment.images().len(), (0..all.len()).filter(|number| keep[*number]).count());
        }

        #[test]
        fn bytes_that_are_no_segment_are_an_error(images in images(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = build(&images, 0).to_bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(segment) = Segment::from_bytes(&bytes) {
                // Nothing is out of range.
                segment.images_with(&segment.keys).for_each(drop);
            }
            prop_assert!(Segment::from_bytes(&bytes[..at]).is_err());
        }
    }

    #[test]
    fn keys_that_the_same_images_have_share_a_list() {
        let base: BTreeSet<u64> = (0..300).collect();
        let segment = build(&vec![base; 1000], 0);
        assert_eq!((segment.keys.len(), segment.lists.len()), (300, 1));
        assert!(segment.to_bytes().unwrap().len() < 1000 * 66 + 300 * 4 + 2000);
    }
}
