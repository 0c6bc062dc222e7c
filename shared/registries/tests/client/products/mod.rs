//! The products, each against recorded exchanges with it: made from the documented shapes, because no hosted service is
//! reached from here.

mod docker_hub;
mod ecr;
mod ecr_public;
mod support;
