//! Lets the linker leave the functions of Python open, on systems where that is not the default.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
