//! Pub, the packages of Dart: GitHub's records.

use super::{Family, LANGUAGE};
use crate::order::pub_dev;

pub(super) static FAMILY: Family =
    Family { id: "pub", ecosystem: "Pub", compare: pub_dev::compare, ..LANGUAGE };
