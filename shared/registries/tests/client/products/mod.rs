//! The products, each against recorded exchanges with it: made from the documented shapes, because no hosted service is
//! reached from here.

mod acr;
mod docker_hub;
mod ecr;
mod ecr_public;
mod google;
mod harbor;
mod jfrog;
mod oci;
mod openshift;
mod quay;
mod support;
mod told;
