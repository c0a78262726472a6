//! What a browser makes of the page.

mod browser;
mod page;
