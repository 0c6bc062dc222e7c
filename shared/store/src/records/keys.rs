//! The keys of all items and objects. docs/ARCHITECTURE.md has the same as a table with the access patterns.

use jiff::Timestamp;
use tidewatch_core::Digest;
use tidewatch_core::budget::Account;
use tidewatch_core::environment::{EnvironmentTarget, ImageReference};
use tidewatch_core::hook::HookId;
use tidewatch_core::image::{Image, ImageId, Platform};
use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId, StreamName, Tag};
use tidewatch_core::ports::table::Key;
use tidewatch_core::stream::{Layout, Slot, SlotKind};
use tidewatch_core::work::{Priority, RunId, Work};

/// Into how many partitions the due work of a registry is spread.
pub(super) const DUE_BUCKETS: u64 = 4;

/// Into how many partitions the unposted images of an organisation are spread.
pub(super) const UNPOSTED_SHARDS: u64 = 8;

pub(super) const ORGS: &str = "ORGS";
pub(super) const CAPPED: &str = "CAPPED#";
pub(super) const ADVISORIES: &str = "ADVISORIES";
pub(super) const ANNOUNCEMENT: &str = "IMAGE#";
pub(super) const ADVISORY_PROGRESS: &str = "PROGRESS#";
pub(super) const ADVISORY_SOURCE: &str = "SOURCE#";
pub(super) const ON_BASE: &str = "ON#";
pub(super) const FOLLOW: &str = "FOLLOW#";
pub(super) const HOOK: &str = "HOOK#";
pub(super) const IN: &str = "IN#";
pub(super) const LISTING: &str = "LISTING#";
pub(super) const MEMBER: &str = "MEMBER#";
pub(super) const PLACE: &str = "PLACE#";
pub(super) const SENT: &str = "SENT#";
pub(super) const TAG: &str = "TAG#";
pub(super) const TOKEN: &str = "TOKEN#";
pub(super) const VEX: &str = "VEX#";
pub(super) const WAIT: &str = "WAIT#";

pub(super) fn org(org: &OrgName) -> String {
    format!("ORG#{org}")
}

pub(super) fn org_entry(name: &OrgName) -> Key {
    Key::new(ORGS, name.as_str())
}

/// For all organisations: advisories are the same for everyone.
pub(super) fn advisories() -> Key {
    Key::new(ADVISORIES, "CURRENT")
}

/// The names of the sources that are fetched.
pub(super) fn advisories_set() -> Key {
    Key::new(ADVISORIES, "SET")
}

pub(super) fn advisory_source(ecosystem: &str) -> Key {
    Key::new(ADVISORIES, format!("{ADVISORY_SOURCE}{ecosystem}"))
}

pub(super) fn advisory_progress(ecosystem: &str) -> Key {
    Key::new(ADVISORIES, format!("{ADVISORY_PROGRESS}{ecosystem}"))
}

pub(super) fn configuration(name: &OrgName) -> Key {
    Key::new(org(name), "CONFIG")
}

/// By what all images are settled, and the postings.
pub(super) fn postings(name: &OrgName) -> Key {
    Key::new(org(name), "POSTINGS")
}

pub(super) fn unposted_partition(org: &OrgName, shard: u64) -> String {
    format!("UNPOSTED#{org}#{shard}")
}

pub(super) fn unposted(org: &OrgName, image: &ImageId) -> Key {
    let shard = image.digest.spread() % UNPOSTED_SHARDS;
    Key::new(unposted_partition(org, shard), format!("{}#{}", image.digest.hex(), image.platform))
}

pub(super) fn announcement_partition(org: &OrgName, shard: u64) -> String {
    format!("ANNOUNCE#{org}#{shard}")
}

/// What newly affects an image, by the result of this revision.
pub(super) fn announcement(org: &OrgName, image: &ImageId, revision: i64) -> Key {
    let shard = image.digest.spread() % super::ANNOUNCEMENT_SHARDS;
    let sort = format!("{ANNOUNCEMENT}{}#{}#{revision:012}", image.digest.hex(), image.platform);
    Key::new(announcement_partition(org, shard), sort)
}

/// Who tells the announcements of a shard.
pub(super) fn announcement_lease(org: &OrgName, shard: u64) -> Key {
    Key::new(announcement_partition(org, shard), "LEASE")
}

/// What was ever announced of an image.
pub(super) fn announced(org: &OrgName, image: &ImageId) -> Key {
    Key::new(image_partition(org, &image.digest, &image.platform), "ANNOUNCED")
}

/// For what images were last sent to be matched again.
pub(super) fn rematch(name: &OrgName) -> Key {
    Key::new(org(name), "REMATCH")
}

pub(super) fn snapshot(name: &OrgName) -> Key {
    Key::new(org(name), "SNAPSHOT")
}

pub(super) fn snapshot_bodies(name: &OrgName) -> Key {
    Key::new(org(name), "SNAPSHOT#BODIES")
}

pub(super) fn rule(name: &OrgName, rule: &RuleId) -> Key {
    Key::new(org(name), format!("RULE#{rule}"))
}

/// One bucket of the budget of an account.
pub(super) fn budget_bucket(account: &Account, bucket: u32) -> Key {
    Key::new(budget(account), format!("BUCKET#{bucket:02}"))
}

/// Until when nothing is to be asked of an account.
pub(super) fn budget_pause(account: &Account) -> Key {
    Key::new(budget(account), "NOT-BEFORE")
}

/// For all organisations: a registry does not know for whom it is asked.
fn budget(account: &Account) -> String {
    format!("BUDGET#{}#{}", account.host, account.credential)
}

/// For which windows work was last made to wait.
pub(super) fn windows(name: &OrgName) -> Key {
    Key::new(org(name), "WINDOWS")
}

pub(super) fn org_token(name: &OrgName, id: &str) -> Key {
    Key::new(org(name), format!("{TOKEN}{id}"))
}

/// What is told of a VEX document in force.
pub(super) fn vex(name: &OrgName, digest: &Digest) -> Key {
    Key::new(org(name), format!("{VEX}{}", digest.hex()))
}

pub(super) fn token(id: &str) -> Key {
    Key::new(format!("{TOKEN}{id}"), "TOKEN")
}

pub(super) fn org_hook(name: &OrgName, id: &HookId) -> Key {
    Key::new(org(name), format!("{HOOK}{id}"))
}

pub(super) fn hook(id: &HookId) -> Key {
    Key::new(format!("{HOOK}{id}"), "HOOK")
}

pub(super) fn runs(org: &OrgName, rule: &RuleId) -> String {
    format!("RUN#{org}#{rule}")
}

pub(super) fn listings(org: &OrgName, run: &RunId) -> String {
    format!("RUN#{org}#{}#{}", run.rule, run.run)
}

pub(super) fn listing(
    org: &OrgName,
    run: &RunId,
    registry: &RegistryId,
    repository: Option<&RepositoryName>,
) -> Key {
    let place =
        repository.map_or_else(|| registry.to_string(), |repository| format!("{registry}/{repository}"));
    Key::new(listings(org, run), format!("{LISTING}{place}"))
}

/// A listing that waits for the others of its run.
pub(super) fn capped(org: &OrgName, run: &RunId, registry: &RegistryId, repository: &RepositoryName) -> Key {
    Key::new(listings(org, run), format!("{CAPPED}{registry}/{repository}"))
}

/// Listings that were sent for together; `names` is the hash of their names.
pub(super) fn sent_listings(org: &OrgName, run: &RunId, registry: &RegistryId, names: &Digest) -> Key {
    Key::new(listings(org, run), format!("{SENT}{registry}#{}", names.hex()))
}

pub(super) fn due_partition(org: &OrgName, registry: &RegistryId, bucket: u64) -> String {
    format!("DUE#{org}#{registry}#{bucket}")
}

pub(super) fn due_priority(priority: Priority) -> String {
    format!("{}#", priority.digit())
}

pub(super) fn due(org: &OrgName, work: &Work, due_at: Timestamp) -> Key {
    let image = &work.image;
    let sort = format!(
        "{}{:015}#{}#{}#{}",
        due_priority(work.priority),
        due_at.as_millisecond().max(0),
        image.digest.hex(),
        image.platform,
        image.repository
    );
    Key::new(due_partition(org, &image.registry, image.digest.spread() % DUE_BUCKETS), sort)
}

/// The time that stands in the key of a due row.
pub(super) fn due_time(key: &Key) -> Option<Timestamp> {
    let millis = key.sort.split('#').nth(1)?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}

pub(super) fn image_partition(org: &OrgName, digest: &Digest, platform: &Platform) -> String {
    format!("IMAGE#{org}#{}#{platform}", digest.hex())
}

pub(super) fn result(org: &OrgName, digest: &Digest, platform: &Platform) -> Key {
    Key::new(image_partition(org, digest, platform), "RESULT")
}

pub(super) fn image_place(org: &OrgName, image: &Image) -> Key {
    let sort = format!("{PLACE}{}/{}", image.registry, image.repository);
    Key::new(image_partition(org, &image.digest, &image.platform), sort)
}

pub(super) fn work(org: &OrgName, image: &Image) -> Key {
    let sort = format!("WORK#{}/{}", image.registry, image.repository);
    Key::new(image_partition(org, &image.digest, &image.platform), sort)
}

fn layer_partition(org: &OrgName, digest: &Digest) -> String {
    format!("LAYER#{org}#{}", digest.hex())
}

pub(super) fn layer_lease(org: &OrgName, digest: &Digest) -> Key {
    Key::new(layer_partition(org, digest), "LEASE")
}

pub(super) fn layer_inventory(org: &OrgName, digest: &Digest, reader_version: u32) -> Key {
    Key::new(layer_partition(org, digest), format!("INVENTORY#{reader_version}"))
}

pub(super) fn layer_waiters(org: &OrgName, digest: &Digest) -> String {
    layer_partition(org, digest)
}

pub(super) fn layer_waiter(org: &OrgName, digest: &Digest, image: &Image) -> Key {
    let sort =
        format!("{WAIT}{}#{}#{}/{}", image.digest.hex(), image.platform, image.registry, image.repository);
    Key::new(layer_partition(org, digest), sort)
}

pub(super) fn repositories(org: &OrgName) -> String {
    format!("REPOS#{org}")
}

pub(super) fn known_repository(org: &OrgName, registry: &RegistryId, name: &RepositoryName) -> Key {
    Key::new(repositories(org), format!("{registry}/{name}"))
}

pub(super) fn repository(org: &OrgName, registry: &RegistryId, repository: &RepositoryName) -> String {
    format!("REPO#{org}#{registry}/{repository}")
}

pub(super) fn tag(org: &OrgName, registry: &RegistryId, name: &RepositoryName, tag: &Tag) -> Key {
    Key::new(repository(org, registry, name), format!("{TAG}{tag}"))
}

pub(super) fn shard_partition(org: &OrgName, stream: &StreamName, shard: u16) -> String {
    format!("STREAM#{org}#{stream}#{shard}")
}

/// A slot: that of a repository as it was first counted has no more in its name.
pub(super) fn slot(org: &OrgName, stream: &StreamName, slot: &Slot) -> Key {
    let Slot { registry, repository, kind } = slot;
    let shard = Layout::of(stream).shard_of(registry, repository);
    let name = format!("{MEMBER}{registry}/{repository}");
    let sort = match kind {
        SlotKind::Repository { since: 0 } => name,
        SlotKind::Repository { since } => format!("{name}#{since}"),
        SlotKind::Platform { since, platform } => format!("{name}#{since}#{platform}"),
        SlotKind::Kept(digest) => format!("{name}@{digest}"),
    };
    Key::new(shard_partition(org, stream, shard), sort)
}

/// The version of the configuration since which images are counted as they are in the slots of which this is one, in
/// `latest-indexed`.
pub(super) fn slot_since(key: &Key) -> i64 {
    let name = key.sort.strip_prefix(MEMBER).unwrap_or_default();
    name.split('#').nth(1).and_then(|since| since.parse().ok()).unwrap_or(0)
}

pub(super) fn base_partition(org: &OrgName, base: &str) -> String {
    format!("BASE#{org}#{base}")
}

/// What the tag of a base points to.
pub(super) fn base(org: &OrgName, base: &str) -> Key {
    Key::new(base_partition(org, base), "CURRENT")
}

/// An image that is built on a base.
pub(super) fn on_base(org: &OrgName, base: &str, image: &ImageId) -> Key {
    Key::new(base_partition(org, base), format!("{ON_BASE}{}#{}", image.digest.hex(), image.platform))
}

pub(super) fn bases_partition(org: &OrgName, turn: u64) -> String {
    format!("BASES#{org}#{turn:03}")
}

/// A base, among those whose turn it is at the same time.
pub(super) fn base_in_turn(org: &OrgName, base: &str) -> Key {
    let turn = Digest::of(base.as_bytes()).spread() % super::BASE_TURNS;
    Key::new(bases_partition(org, turn), base)
}

/// The image with exactly some layers.
pub(super) fn chain(org: &OrgName, chain: &Digest) -> Key {
    Key::new(format!("CHAIN#{org}#{}", chain.hex()), "IMAGE")
}

/// By what images were last sent for to be judged again.
pub(super) fn switch(name: &OrgName) -> Key {
    Key::new(org(name), "SWITCH")
}

pub(super) fn switched_partition(org: &OrgName, sent_at: Timestamp) -> String {
    format!("SWITCH#{org}#{:015}", sent_at.as_millisecond().max(0))
}

/// A message of a switch that is done.
pub(super) fn switched(org: &OrgName, sent_at: Timestamp, part: u32) -> Key {
    Key::new(switched_partition(org, sent_at), format!("{part:08}"))
}

/// The environments that the command has made.
pub(super) fn environments(name: &OrgName) -> Key {
    Key::new(org(name), "ENVIRONMENTS")
}

/// For which environments of the file entries were last written.
pub(super) fn environments_of_file(name: &OrgName) -> Key {
    Key::new(org(name), "ENVIRONMENTS#FILE")
}

pub(super) fn entries(org: &OrgName, stream: &StreamName) -> String {
    format!("ENV#{org}#{stream}")
}

pub(super) fn entry(org: &OrgName, target: &EnvironmentTarget) -> Key {
    Key::new(entries(org, &target.stream), target.entry.as_str())
}

/// An environment that an image is in.
pub(super) fn image_environment(org: &OrgName, image: &Image, target: &EnvironmentTarget) -> Key {
    let sort = format!("{IN}{}#{}", target.stream, target.entry.as_str());
    Key::new(image_partition(org, &image.digest, &image.platform), sort)
}

pub(super) fn followers(tag: &Tag) -> String {
    format!("{FOLLOW}{tag}#")
}

/// An entry that is pinned anew when a tag moves.
pub(super) fn follower(
    org: &OrgName,
    reference: &ImageReference,
    tag: &Tag,
    target: &EnvironmentTarget,
) -> Key {
    let sort = format!("{}{}#{}", followers(tag), target.stream, target.entry.as_str());
    Key::new(repository(org, &reference.registry, &reference.repository), sort)
}

pub(super) fn shard_totals(org: &OrgName, stream: &StreamName, shard: u16) -> Key {
    Key::new(shard_partition(org, stream, shard), "TOTALS")
}

pub(super) fn group_totals(org: &OrgName, stream: &StreamName, group: u16) -> Key {
    Key::new(format!("STREAM#{org}#{stream}#G{group}"), "TOTALS")
}

/// Objects.
pub(super) mod object {
    use tidewatch_core::Digest;
    use tidewatch_core::names::{OrgName, RegistryId, RepositoryName, RuleId};
    use tidewatch_core::work::RunId;

    pub(in crate::records) fn advisory_index(family: &str, hash: &Digest) -> String {
        format!("advisories/{family}-{}.redb", hash.hex())
    }

    pub(in crate::records) fn end_of_life(content: &Digest) -> String {
        format!("advisories/tables/eol-{}.json", content.hex())
    }

    pub(in crate::records) fn source_archive(ecosystem: &str, hash: &Digest) -> String {
        format!("advisories/sources/{}-{}.zip", part(ecosystem), hash.hex())
    }

    pub(in crate::records) fn source_ids(ecosystem: &str, hash: &Digest) -> String {
        format!("advisories/ids/{}-{}.postcard", part(ecosystem), hash.hex())
    }

    pub(in crate::records) fn source_scores(ecosystem: &str, hash: &Digest) -> String {
        format!("advisories/scores/{}-{}.postcard", part(ecosystem), hash.hex())
    }

    /// The name of an ecosystem as keys can hold it. No name has an underscore of its own.
    fn part(ecosystem: &str) -> String {
        ecosystem.replace(' ', "_")
    }

    pub(in crate::records) fn configuration(org: &OrgName, version: i64, content: &Digest) -> String {
        format!("configurations/{org}/{version:08}-{}.json", content.hex())
    }

    pub(in crate::records) fn image_manifest(org: &OrgName, digest: &Digest) -> String {
        format!("images/{org}/{}.json", digest.hex())
    }

    pub(in crate::records) fn image_metadata(org: &OrgName, content: &Digest) -> String {
        format!("metadata/{org}/{}.json", content.hex())
    }

    pub(in crate::records) fn vex(org: &OrgName, content: &Digest) -> String {
        format!("vex/{org}/{}.json", content.hex())
    }

    pub(in crate::records) fn layer_inventory(org: &OrgName, digest: &Digest, reader_version: u32) -> String {
        format!("layers/{org}/{}/{reader_version}.json", digest.hex())
    }

    pub(in crate::records) fn inventory(org: &OrgName, content: &Digest) -> String {
        format!("inventories/{org}/{}.postcard", content.hex())
    }

    /// A part of a listing that has not taken effect.
    pub(in crate::records) fn staged_tags(
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        repository: &RepositoryName,
        part: &Digest,
    ) -> String {
        let RunId { rule, run } = run;
        format!("listings/{org}/{rule}/{run}/{registry}/{repository}/{}.json", part.hex())
    }

    /// The same of the repositories of a registry.
    pub(in crate::records) fn staged_repositories(
        org: &OrgName,
        run: &RunId,
        registry: &RegistryId,
        part: &Digest,
    ) -> String {
        let RunId { rule, run } = run;
        format!("listings/{org}/{rule}/{run}/{registry}/{}.json", part.hex())
    }

    pub(in crate::records) fn created_times(
        org: &OrgName,
        rule: &RuleId,
        registry: &RegistryId,
        repository: &RepositoryName,
    ) -> String {
        format!("created/{org}/{rule}/{registry}/{repository}.json")
    }

    pub(in crate::records) fn segment(org: &OrgName, content: &Digest) -> String {
        format!("postings/{org}/{}.postcard", content.hex())
    }

    pub(in crate::records) fn report(org: &OrgName, content: &Digest) -> String {
        format!("reports/{org}/{}.json", content.hex())
    }
}
