//! The tests of the library, compiled as one binary.

mod ami_xvectors;
mod clustering;
mod clustering_assignment;
mod clustering_community;
mod clustering_properties;
mod confidence;
mod listener;
mod model_directory;
mod networks;
mod pipeline;
mod pipeline_after_networks;
mod reconstruction;
mod scoring;
mod shared_trunk;
