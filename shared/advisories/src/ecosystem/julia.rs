//! The packages of Julia: JLSEC records. <https://github.com/JuliaLang/SecurityAdvisories.jl>

use super::{Family, LANGUAGE};

pub(super) static FAMILY: Family =
    Family { id: "julia", ecosystem: "Julia", compare: super::orders::semver, ..LANGUAGE };
