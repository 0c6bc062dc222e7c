//! CRAN, the packages of R: RSEC records. <https://github.com/RConsortium/r-advisory-database>

use super::{Family, LANGUAGE};
use crate::order::cran;

pub(super) static FAMILY: Family =
    Family { id: "cran", ecosystem: "CRAN", compare: cran::compare, ..LANGUAGE };
