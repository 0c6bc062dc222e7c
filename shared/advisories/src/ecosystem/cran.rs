//! CRAN, the packages of R: RSEC records. <https://github.com/RConsortium/r-advisory-database>

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "cran", ecosystem: "CRAN", compare: super::orders::cran, ..LANGUAGE };
