//! Tests of the HTML page in a browser.

mod browser;
mod page;
mod transcript;
