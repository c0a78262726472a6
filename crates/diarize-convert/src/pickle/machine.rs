//! The stack machine that executes a pickle.

use std::{borrow::Cow, collections::HashMap, str::FromStr};

use super::{
    Id, MAX_MARKS, MAX_OPCODES, Node, Object, Pickle, PickleProblem, PickleProblemKind,
    reader::{Reader, unquoted},
};

type Result<T> = std::result::Result<T, PickleProblemKind>;

/// The newest supported protocol.
const PROTOCOL: u8 = 5;

/// The state of the machine: stack, marks and memo.
pub(super) struct Machine<'a> {
    input: Reader<'a>,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            input: Reader::new(bytes),
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs until the STOP opcode. Returns the values and the length of the pickle in bytes.
    pub(super) fn run(mut self) -> std::result::Result<(Pickle<'a>, usize), PickleProblem> {
        for _ in 0..MAX_OPCODES {
            let offset = self.input.offset();
            let done = self.step().map_err(|kind| PickleProblem { offset, kind })?;
            if let Some(root) = done {
                return Ok((Pickle { nodes: self.nodes, root }, self.input.offset()));
            }
        }
        let kind = PickleProblemKind::Limit { what: "opcodes", limit: MAX_OPCODES };
        Err(PickleProblem { offset: self.input.offset(), kind })
    }

    /// Executes one opcode. STOP returns the root value.
    fn step(&mut self) -> Result<Option<Id>> {
        match self.input.u8()? {
            b'.' => return self.pop().map(Some),
            0x80 => match self.input.u8()? {
                protocol if protocol > PROTOCOL => return Err(PickleProblemKind::Protocol(protocol)),
                _ => {}
            },
            0x95 => drop(self.input.array::<8>()?), // FRAME: its length only matters for buffered reading

            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'I' => self.integer_or_boolean()?,
            b'J' => {
                let value = i32::from_le_bytes(self.input.array()?);
                self.push(Node::Int(value.into()));
            }
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'L' => {
                let line = self.input.text_line()?;
                let value = parsed(line.strip_suffix('L').unwrap_or(line))?;
                self.push(Node::Int(value));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'F' => {
                let value = parsed(self.input.text_line()?)?;
                self.push(Node::Float(value));
            }
            b'G' => {
                let value = f64::from_be_bytes(self.input.array()?);
                self.push(Node::Float(value));
            }

            b'S' => {
                let literal = unquoted(self.input.line()?)?;
                self.push(text_or_bytes(literal));
            }
            b'V' => {
                let line = self.input.line()?;
                self.push(text_or_bytes(Cow::Borrowed(line)));
            }
            0x8c | b'U' => self.text(1)?,
            b'X' | b'T' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.bytes(1)?,
            b'B' => self.bytes(4)?,
            0x8e | 0x96 => self.bytes(8)?,

            b']' | b')' | 0x8f => self.push(Node::Sequence(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'l' | b't' | 0x91 => {
                let elements = self.pop_mark()?;
                self.push(Node::Sequence(elements));
            }
            length @ 0x85..=0x87 => {
                let elements = self.pop_many(usize::from(length - 0x84))?;
                self.push(Node::Sequence(elements));
            }
            b'd' => {
                let entries = pairs(&self.pop_mark()?)?;
                self.push(Node::Dict(entries));
            }
            b'a' => {
                let element = self.pop()?;
                self.extend(&[element])?;
            }
            b'e' | 0x90 => {
                let elements = self.pop_mark()?;
                self.extend(&elements)?;
            }
            b's' => {
                let entry = self.pop_many(2)?;
                self.insert(&entry)?;
            }
            b'u' => {
                let entries = self.pop_mark()?;
                self.insert(&entries)?;
            }

            b'(' => self.mark()?,
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'g' => {
                let index = parsed(self.input.text_line()?)?;
                self.recall(index)?;
            }
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'p' => {
                let index = parsed(self.input.text_line()?)?;
                self.remember(index)?;
            }
            b'q' => self.put(1)?,
            b'r' => self.put(4)?,
            0x94 => self.remember(self.memo.len() as u64)?,

            b'c' => {
                let global = self.global_lines()?;
                self.push(global);
            }
            0x93 => self.global_of_stack()?,
            b'R' | 0x81 => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.call(class, arguments)?;
            }
            0x92 => {
                let [class, arguments, named] = self.pop_array()?;
                let made = self.call(class, arguments)?;
                self.nodes_object(made)?.state = Some(named);
            }
            b'i' => {
                let global = self.global_lines()?;
                let arguments = self.pop_mark()?;
                let class = self.add(global);
                let arguments = self.add(Node::Sequence(arguments));
                self.make(class, arguments);
            }
            b'o' => {
                let mut arguments = self.pop_mark()?;
                if arguments.is_empty() {
                    return Err(PickleProblemKind::EmptyStack);
                }
                let class = arguments.remove(0);
                let arguments = self.add(Node::Sequence(arguments));
                self.make(class, arguments);
            }
            b'b' => self.build()?,
            b'P' => {
                let line = self.input.text_line()?;
                let reference = self.add(Node::Text(line.into()));
                self.push(Node::Persistent(reference));
            }
            b'Q' => {
                let reference = self.pop()?;
                self.push(Node::Persistent(reference));
            }
            opcode => return Err(PickleProblemKind::Opcode(opcode)),
        }
        Ok(None)
    }

    fn add(&mut self, node: Node<'a>) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn push(&mut self, node: Node<'a>) {
        let id = self.add(node);
        self.stack.push(id);
    }

    /// The lowest stack index that opcodes may access: values below the innermost mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id> {
        self.stack[self.floor()..].last().copied().ok_or(PickleProblemKind::EmptyStack)
    }

    fn pop(&mut self) -> Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        match self.stack.len() - self.floor() >= count {
            true => Ok(self.stack.split_off(self.stack.len() - count)),
            false => Err(PickleProblemKind::EmptyStack),
        }
    }

    fn pop_array<const N: usize>(&mut self) -> Result<[Id; N]> {
        self.pop_many(N)?.try_into().map_err(|_| PickleProblemKind::EmptyStack)
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() == MAX_MARKS {
            return Err(PickleProblemKind::Limit { what: "levels of nesting", limit: MAX_MARKS });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        let below = self.marks.pop().ok_or(PickleProblemKind::NoMark)?;
        Ok(self.stack.split_off(below))
    }

    fn remember(&mut self, index: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn put(&mut self, bytes: u64) -> Result<()> {
        let index = self.input.unsigned(bytes)?;
        self.remember(index)
    }

    fn recall(&mut self, index: u64) -> Result<()> {
        let value = *self.memo.get(&index).ok_or(PickleProblemKind::Memo(index))?;
        self.stack.push(value);
        Ok(())
    }

    fn get(&mut self, bytes: u64) -> Result<()> {
        let index = self.input.unsigned(bytes)?;
        self.recall(index)
    }

    /// A line of digits. `00` and `01` stand for booleans.
    fn integer_or_boolean(&mut self) -> Result<()> {
        let node = match self.input.text_line()? {
            "00" => Node::Bool(false),
            "01" => Node::Bool(true),
            line => Node::Int(parsed(line)?),
        };
        self.push(node);
        Ok(())
    }

    fn unsigned(&mut self, bytes: u64) -> Result<()> {
        let value = self.input.unsigned(bytes)?;
        self.push(Node::Int(value.cast_signed()));
        Ok(())
    }

    /// A length-prefixed integer in two's complement.
    fn long(&mut self, bytes: u64) -> Result<()> {
        let digits = self.input.counted(bytes)?;
        let node = match digits.len() {
            0..=8 => {
                let negative = digits.last().is_some_and(|&last| last >= 0x80);
                let mut extended = [if negative { 0xff } else { 0 }; 8];
                extended[..digits.len()].copy_from_slice(digits);
                Node::Int(i64::from_le_bytes(extended))
            }
            _ => Node::Long(digits),
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self, bytes: u64) -> Result<()> {
        let text = self.input.counted(bytes)?;
        self.push(text_or_bytes(Cow::Borrowed(text)));
        Ok(())
    }

    fn bytes(&mut self, bytes: u64) -> Result<()> {
        let value = self.input.counted(bytes)?;
        self.push(Node::Bytes(Cow::Borrowed(value)));
        Ok(())
    }

    /// Appends to the list on top of the stack.
    fn extend(&mut self, new: &[Id]) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Sequence(elements) => elements.extend(new),
            Node::Object(object) => object.elements.extend(new),
            _ => return Err(PickleProblemKind::Kind("elements are added to a value that is not a list")),
        }
        Ok(())
    }

    /// Adds alternating keys and values to the dictionary on top of the stack.
    fn insert(&mut self, new: &[Id]) -> Result<()> {
        let new = pairs(new)?;
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) => entries.extend(new),
            Node::Object(object) => object.entries.extend(new),
            _ => {
                return Err(PickleProblemKind::Kind("entries are added to a value that is not a dictionary"));
            }
        }
        Ok(())
    }

    fn global_lines(&mut self) -> Result<Node<'a>> {
        Ok(Node::Global(self.input.text_line()?.into(), self.input.text_line()?.into()))
    }

    /// A class or function whose module and name are on the stack.
    fn global_of_stack(&mut self) -> Result<()> {
        let [module, name] = self.pop_array()?;
        let global = match (&self.nodes[module], &self.nodes[name]) {
            (Node::Text(Cow::Borrowed(module)), Node::Text(Cow::Borrowed(name))) => {
                Node::Global(Cow::Borrowed(module), Cow::Borrowed(name))
            }
            _ => return Err(PickleProblemKind::Kind("the name of a class is not a string")),
        };
        self.push(global);
        Ok(())
    }

    /// Creates an object in place of Python's call of `class` with the tuple `arguments`.
    fn call(&mut self, class: Id, arguments: Id) -> Result<Id> {
        match &self.nodes[arguments] {
            Node::Sequence(_) => Ok(self.make(class, arguments)),
            _ => Err(PickleProblemKind::Kind("the arguments of a call are not a tuple")),
        }
    }

    fn make(&mut self, class: Id, arguments: Id) -> Id {
        let object = Object { class, arguments, state: None, elements: Vec::new(), entries: Vec::new() };
        let id = self.add(Node::Object(Box::new(object)));
        self.stack.push(id);
        id
    }

    fn nodes_object(&mut self, id: Id) -> Result<&mut Object> {
        match &mut self.nodes[id] {
            Node::Object(object) => Ok(object),
            _ => Err(PickleProblemKind::Kind("state is assigned to a value that is not an object")),
        }
    }

    /// Assigns the value on top of the stack as the state of the object below it.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let object = self.top()?;
        self.nodes_object(object)?.state = Some(state);
        Ok(())
    }
}

fn pairs(flat: &[Id]) -> Result<Vec<(Id, Id)>> {
    match flat.as_chunks() {
        (pairs, []) => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
        _ => Err(PickleProblemKind::Kind("a key has no value")),
    }
}

fn parsed<T: FromStr>(text: &str) -> Result<T> {
    text.trim().parse().map_err(|_| PickleProblemKind::Literal)
}

/// A text if the bytes are UTF-8, otherwise bytes. Only strings from Python 2 may not be UTF-8.
fn text_or_bytes(bytes: Cow<'_, [u8]>) -> Node<'_> {
    match bytes {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Node::Text(text.into()),
            Err(_) => Node::Bytes(bytes.into()),
        },
        Cow::Owned(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Node::Text(text.into()),
            Err(error) => Node::Bytes(error.into_bytes().into()),
        },
    }
}
