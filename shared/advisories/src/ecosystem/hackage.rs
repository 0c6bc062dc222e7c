//! Hackage, the packages of Haskell: HSEC records. <https://github.com/haskell/security-advisories>

use super::{Family, LANGUAGE};
use crate::order::hackage;

pub(super) static FAMILY: Family =
    Family { id: "hackage", ecosystem: "Hackage", compare: hackage::compare, ..LANGUAGE };
