//! An inert pickle interpreter: it builds data and never calls anything.
//!
//! Python's `pickle.load` imports whatever a file names and calls it. Here a class or function is
//! only ever a name ([`Value::name`]), and "calling" it makes an opaque value that keeps the name,
//! the arguments and the state, so that a checkpoint may hold enums, dataclasses, dates or anything
//! else without anybody having to know them.
//!
//! Values live in one list and refer to each other by position. So a value that is used a thousand
//! times is stored once, cycles do no harm, nothing recurses, and memory is bounded by the number of
//! opcodes: each makes two values at most.
//!
//! Source: Python's `Lib/pickletools.py`, which documents every opcode, and PEP 3154.

mod machine;
mod reader;

use std::borrow::Cow;

use self::machine::Machine;

/// Opcodes that a pickle may have. The checkpoints of pyannote have some ten thousand.
const MAX_OPCODES: usize = 4_000_000;

/// Open marks that a pickle may have: how deep literal lists and tuples nest while they are built.
const MAX_MARKS: usize = 1_000;

/// Why bytes are not a pickle that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a pickle that can be read: {kind} at byte {offset}")]
pub struct PickleProblem {
    /// Where, from the start of the pickle.
    pub offset: usize,
    /// What.
    pub kind: PickleProblemKind,
}

/// What is wrong with a pickle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblemKind {
    /// It ends too early.
    #[error("it ends in the middle")]
    Truncated,
    /// An opcode that does not exist, or that needs something beside the file.
    #[error("opcode {0:#04x} is not known")]
    Opcode(u8),
    /// A protocol of the future.
    #[error("protocol {0} is not known")]
    Protocol(u8),
    /// An opcode takes more from the stack than there is.
    #[error("the stack is empty")]
    EmptyStack,
    /// An opcode takes all down to a mark that is not there.
    #[error("there is no mark on the stack")]
    NoMark,
    /// A memo entry that was never put.
    #[error("memo entry {0} does not exist")]
    Memo(u64),
    /// A number or a string in text form that is not one.
    #[error("a literal is malformed")]
    Literal,
    /// An opcode met a value of another kind than it needs.
    #[error("{0}")]
    Kind(&'static str),
    /// A bound was passed.
    #[error("it has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

/// Position of a value in the list of all values.
pub(crate) type Id = usize;

/// One value.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 64 bits, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// A list, tuple or set.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: module and name.
    Global(Cow<'a, str>, Cow<'a, str>),
    Object(Box<Object>),
    /// A reference to something outside the pickle.
    Persistent(Id),
}

/// What calling something would have made.
#[derive(Debug)]
pub(crate) struct Object {
    class: Id,
    /// A tuple, which may be shared with other objects.
    arguments: Id,
    state: Option<Id>,
    elements: Vec<Id>,
    entries: Vec<(Id, Id)>,
}

/// The values of a pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`, and tells how many bytes it has.
    ///
    /// # Errors
    /// Bytes that are not a pickle, or one that passes a bound.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), PickleProblem> {
        Machine::new(bytes).run()
    }

    /// The value itself.
    pub fn root(&self) -> Value<'_> {
        Value { nodes: &self.nodes, id: self.root }
    }

    /// All values that refer to something outside the pickle.
    pub fn references(&self) -> impl Iterator<Item = Value<'_>> {
        let values = (0..self.nodes.len()).map(|id| Value { nodes: &self.nodes, id });
        values.filter_map(Value::reference)
    }
}

/// A value of a pickle.
#[derive(Clone, Copy, Debug)]
pub struct Value<'p> {
    nodes: &'p [Node<'p>],
    id: Id,
}

impl<'p> Value<'p> {
    fn node(self) -> &'p Node<'p> {
        &self.nodes[self.id]
    }

    fn at(self, id: Id) -> Self {
        Self { id, ..self }
    }

    /// Whether this is `None`.
    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// A boolean.
    pub fn boolean(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of at most 64 bits.
    pub fn integer(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of at most 64 bits that is not negative.
    pub fn size(self) -> Option<usize> {
        self.integer().and_then(|value| usize::try_from(value).ok())
    }

    /// The bytes of an integer of more than 64 bits, little-endian.
    pub fn long(self) -> Option<&'p [u8]> {
        match self.node() {
            Node::Long(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number.
    pub fn number(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A string.
    pub fn text(self) -> Option<&'p str> {
        match self.node() {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes, or a string that is not UTF-8.
    pub fn bytes(self) -> Option<&'p [u8]> {
        match self.node() {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Module and name of a class or function.
    pub fn name(self) -> Option<(&'p str, &'p str)> {
        match self.node() {
            Node::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }

    /// What this refers to, outside the pickle.
    pub fn reference(self) -> Option<Self> {
        match self.node() {
            Node::Persistent(id) => Some(self.at(*id)),
            _ => None,
        }
    }

    fn object(self) -> Option<&'p Object> {
        match self.node() {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Module and name of what an object was made by.
    pub fn class(self) -> Option<(&'p str, &'p str)> {
        self.object().and_then(|object| self.at(object.class).name())
    }

    /// What an object was made of.
    pub fn arguments(self) -> impl ExactSizeIterator<Item = Self> + 'p {
        let tuple = self.object().map_or(self, |object| self.at(object.arguments));
        let arguments = match (self.node(), tuple.node()) {
            (Node::Object(_), Node::Sequence(arguments)) => arguments.as_slice(),
            _ => &[],
        };
        arguments.iter().map(move |&id| self.at(id))
    }

    /// What an object was given after it was made, its attributes as a rule.
    pub fn state(self) -> Option<Self> {
        self.object().and_then(|object| object.state).map(|id| self.at(id))
    }

    /// The elements of a list, tuple or set, or of an object that is like one.
    pub fn elements(self) -> impl ExactSizeIterator<Item = Self> + 'p {
        let elements = match self.node() {
            Node::Sequence(elements) => elements.as_slice(),
            Node::Object(object) => &object.elements,
            _ => &[],
        };
        elements.iter().map(move |&id| self.at(id))
    }

    /// Whether this is a list, tuple or set.
    pub fn is_sequence(self) -> bool {
        matches!(self.node(), Node::Sequence(_))
    }

    /// Keys and values of a dictionary, or of an object that is like one.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (Self, Self)> + 'p {
        let entries = match self.node() {
            Node::Dict(entries) => entries.as_slice(),
            Node::Object(object) => &object.entries,
            _ => &[],
        };
        entries.iter().map(move |&(key, value)| (self.at(key), self.at(value)))
    }

    /// The value itself, where this is a node of `omegaconf`, which keeps it in an attribute.
    pub fn plain(self) -> Self {
        let attribute = |name| self.state().and_then(|state| state.entry(name));
        attribute("_content").or_else(|| attribute("_val")).unwrap_or(self)
    }

    /// The value of a dictionary's key, or of an object's attribute.
    pub fn get(self, key: &str) -> Option<Self> {
        let value = self.plain();
        let found = value.entry(key).or_else(|| value.state().and_then(|state| state.entry(key)));
        found.map(Self::plain)
    }

    fn entry(self, key: &str) -> Option<Self> {
        self.entries().rev().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }
}
