//! Faults to order. Each is in force until it is used up, or for good where it has no number.

use std::time::Duration;

use tidewatch_core::Digest;

/// Something that goes wrong in the registry, or that an odd registry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next `requests` requests are answered with 429.
    Throttle {
        /// How many.
        requests: usize,
        /// What `Retry-After` says, in whole seconds; `None` leaves the header out.
        retry_after: Option<Duration>,
    },
    /// The next `requests` requests are answered with `status`.
    Status {
        /// How many.
        requests: usize,
        /// The status: `500`.
        status: u16,
    },
    /// The next `requests` requests are never answered.
    Hang {
        /// How many.
        requests: usize,
    },
    /// The connection breaks after `after` bytes of the blob, counted from where the request begins.
    CutBlob {
        /// The blob.
        digest: Digest,
        /// Bytes that arrive.
        after: usize,
        /// How many times.
        times: usize,
    },
    /// The blob is given with a wrong first byte.
    CorruptBlob {
        /// The blob.
        digest: Digest,
    },
    /// The manifest is given with a line break more than it has.
    CorruptManifest {
        /// The manifest.
        digest: Digest,
    },
    /// There is no listing of referrers, as in the reference implementation.
    NoReferrers,
    /// Manifests are given without `Docker-Content-Digest`.
    OmitDigestHeader,
    /// Blobs are given whole, whatever range is asked for.
    IgnoreRange,
    /// Ranges of blobs are refused with 416.
    RefuseRange,
    /// Listings say that they go on at this address.
    ForeignLink {
        /// What stands in `Link`.
        target: String,
    },
    /// Listings refuse a page size with 400.
    RefusePageSize,
    /// Blobs are redirected to the same path of another server.
    RedirectBlobs {
        /// `http://127.0.0.1:PORT`.
        to: String,
    },
}

/// What happens to a request before it is looked at.
pub(super) enum Outage {
    Throttle(Option<Duration>),
    Status(u16),
    Hang,
}

/// The faults in force.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Whether `fault` is in force.
    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.0.contains(fault)
    }

    /// Takes one use of the first fault that hits any request.
    pub(super) fn outage(&mut self) -> Option<Outage> {
        self.0.iter_mut().find_map(|fault| match fault {
            Fault::Throttle { requests, retry_after } => {
                take(requests).then_some(Outage::Throttle(*retry_after))
            }
            Fault::Status { requests, status } => take(requests).then_some(Outage::Status(*status)),
            Fault::Hang { requests } => take(requests).then_some(Outage::Hang),
            _ => None,
        })
    }

    /// Takes one use of the fault that cuts this blob: how many bytes arrive.
    pub(super) fn cut(&mut self, blob: &Digest) -> Option<usize> {
        self.0.iter_mut().find_map(|fault| match fault {
            Fault::CutBlob { digest, after, times } if digest == blob => take(times).then_some(*after),
            _ => None,
        })
    }

    /// Where listings are said to go on.
    pub(super) fn foreign_link(&self) -> Option<&str> {
        self.0.iter().find_map(|fault| match fault {
            Fault::ForeignLink { target } => Some(target.as_str()),
            _ => None,
        })
    }

    /// Where blobs are redirected to.
    pub(super) fn redirect(&self) -> Option<&str> {
        self.0.iter().find_map(|fault| match fault {
            Fault::RedirectBlobs { to } => Some(to.as_str()),
            _ => None,
        })
    }
}

/// Takes one of `left`, when there is one.
fn take(left: &mut usize) -> bool {
    let taken = *left > 0;
    *left = left.saturating_sub(1);
    taken
}
