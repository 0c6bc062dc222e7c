//! GHC, the components of the Haskell compiler: HSEC records. <https://github.com/haskell/security-advisories>

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "ghc", ecosystem: "GHC", compare: super::orders::hackage, ..LANGUAGE };
