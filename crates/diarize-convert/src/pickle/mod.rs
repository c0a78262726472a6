//! An inert pickle interpreter: it builds data and never calls anything.
//!
//! Python's `pickle.load` imports and calls whatever a file names. Here a class or function is only a name
//! ([`Value::name`]). "Calling" it creates an opaque value that stores the name, the arguments and the state.
//! A checkpoint can therefore contain enums, dataclasses, dates or any other object without special support.
//!
//! All values are stored in one list and refer to each other by index. A value that is used a thousand times is
//! stored once, cycles are harmless, and nothing recurses. Memory is bounded by the number of opcodes, because
//! each creates at most two values.
//!
//! Source: Python's `Lib/pickletools.py`, which documents every opcode, and PEP 3154.

mod machine;
mod reader;

use std::borrow::Cow;

use self::machine::Machine;

/// Maximum number of opcodes in a pickle. pyannote's checkpoints have about ten thousand.
const MAX_OPCODES: usize = 4_000_000;

/// Maximum number of open marks, which is the nesting depth of lists and tuples under construction.
const MAX_MARKS: usize = 1_000;

/// Why a pickle cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a readable pickle: {kind} at byte {offset}")]
pub struct PickleProblem {
    /// Byte offset from the start of the pickle.
    pub offset: usize,
    /// The kind of problem.
    pub kind: PickleProblemKind,
}

/// The kind of problem with a pickle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblemKind {
    /// The pickle is truncated.
    #[error("the pickle is truncated")]
    Truncated,
    /// The opcode does not exist, or needs something outside the file.
    #[error("unknown opcode {0:#04x}")]
    Opcode(u8),
    /// The protocol is newer than the supported ones.
    #[error("unknown protocol {0}")]
    Protocol(u8),
    /// An opcode pops more values than there are on the stack.
    #[error("the stack is empty")]
    EmptyStack,
    /// An opcode pops to a mark, but there is none.
    #[error("there is no mark on the stack")]
    NoMark,
    /// The memo entry does not exist.
    #[error("memo entry {0} does not exist")]
    Memo(u64),
    /// A malformed number or string literal.
    #[error("malformed literal")]
    Literal,
    /// A value has the wrong kind for an opcode.
    #[error("{0}")]
    Kind(&'static str),
    /// A limit is exceeded.
    #[error("more than {limit} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Index of a value in the list of all values.
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

/// An object, in place of the result of a call.
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
    /// Reads the pickle at the start of `bytes`. Also returns the length of the pickle in bytes.
    ///
    /// # Errors
    /// The bytes are not a valid pickle, or a limit is exceeded.
    pub fn read(bytes: &'a [u8]) -> Result<(Self, usize), PickleProblem> {
        Machine::new(bytes).run()
    }

    /// The root value.
    pub fn root(&self) -> Value<'_> {
        Value { nodes: &self.nodes, id: self.root }
    }

    /// All references to something outside the pickle (persistent IDs).
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

    /// The boolean, if this is one.
    pub fn boolean(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if this is one of at most 64 bits.
    pub fn integer(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, if this is a non-negative one of at most 64 bits.
    pub fn size(self) -> Option<usize> {
        self.integer().and_then(|value| usize::try_from(value).ok())
    }

    /// The little-endian bytes, if this is an integer of more than 64 bits.
    pub fn long(self) -> Option<&'p [u8]> {
        match self.node() {
            Node::Long(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, if this is a float or an integer of at most 64 bits.
    pub fn number(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// The string, if this is one.
    pub fn text(self) -> Option<&'p str> {
        match self.node() {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes, if this is a bytes object or a string that is not UTF-8.
    pub fn bytes(self) -> Option<&'p [u8]> {
        match self.node() {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Module and name, if this is a class or function.
    pub fn name(self) -> Option<(&'p str, &'p str)> {
        match self.node() {
            Node::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }

    /// The persistent ID, if this is a reference to something outside the pickle.
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

    /// Module and name of the class or function that creates this object.
    pub fn class(self) -> Option<(&'p str, &'p str)> {
        self.object().and_then(|object| self.at(object.class).name())
    }

    /// The arguments that create this object.
    pub fn arguments(self) -> impl ExactSizeIterator<Item = Self> + 'p {
        let tuple = self.object().map_or(self, |object| self.at(object.arguments));
        let arguments = match (self.node(), tuple.node()) {
            (Node::Object(_), Node::Sequence(arguments)) => arguments.as_slice(),
            _ => &[],
        };
        arguments.iter().map(move |&id| self.at(id))
    }

    /// The state assigned to this object, usually its attributes.
    pub fn state(self) -> Option<Self> {
        self.object().and_then(|object| object.state).map(|id| self.at(id))
    }

    /// The elements of a list, tuple, set or list-like object.
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

    /// The keys and values of a dictionary or dictionary-like object.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = (Self, Self)> + 'p {
        let entries = match self.node() {
            Node::Dict(entries) => entries.as_slice(),
            Node::Object(object) => &object.entries,
            _ => &[],
        };
        entries.iter().map(move |&(key, value)| (self.at(key), self.at(value)))
    }

    /// The value inside an `omegaconf` node, which stores it in an attribute; any other value is returned as is.
    pub fn plain(self) -> Self {
        let attribute = |name| self.state().and_then(|state| state.entry(name));
        attribute("_content").or_else(|| attribute("_val")).unwrap_or(self)
    }

    /// The value of a dictionary key or an object attribute.
    pub fn get(self, key: &str) -> Option<Self> {
        let value = self.plain();
        let found = value.entry(key).or_else(|| value.state().and_then(|state| state.entry(key)));
        found.map(Self::plain)
    }

    fn entry(self, key: &str) -> Option<Self> {
        self.entries().rev().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }
}
