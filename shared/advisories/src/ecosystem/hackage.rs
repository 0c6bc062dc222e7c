//! Hackage, the packages of Haskell: HSEC records. <https://github.com/haskell/security-advisories>

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "hackage", ecosystem: "Hackage", compare: super::orders::hackage, ..LANGUAGE };
