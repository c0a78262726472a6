//! The tests of speech recognition, in one program.
