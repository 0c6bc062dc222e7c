//! GHC, the components of the Haskell compiler: HSEC records. <https://github.com/haskell/security-advisories>

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family =
    Family { id: "ghc", ecosystem: "GHC", compare: semver::compare, ..LANGUAGE };
