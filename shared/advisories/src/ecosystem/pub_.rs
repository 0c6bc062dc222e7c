//! Pub, the packages of Dart: GitHub's records.

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "pub", ecosystem: "Pub", compare: super::orders::pub_, ..LANGUAGE };
