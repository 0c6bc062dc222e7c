//! The packages of Julia: JLSEC records. <https://github.com/JuliaLang/SecurityAdvisories.jl>

use super::{Family, LANGUAGE};
use crate::order::semver;

pub(super) static FAMILY: Family =
    Family { id: "julia", ecosystem: "Julia", compare: semver::compare, ..LANGUAGE };
