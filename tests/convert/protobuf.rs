//! A builder for ONNX files.

/// A message of a protocol buffer.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    pub fn number(self, field: u64, number: u64) -> Self {
        self.varint(field << 3).varint(number)
    }

    pub fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2).varint(bytes.len() as u64).raw(bytes)
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// The start of a tensor: its dimensions, its type and its name.
pub fn head(name: &str, kind: u64, shape: &[u64]) -> Message {
    let dimensions = shape.iter().fold(Message::new(), |message, &length| message.number(1, length));
    dimensions.number(2, kind).text(8, name)
}

/// A tensor of f32 values, all zero.
pub fn zeros(name: &str, shape: &[u64]) -> Message {
    head(name, 1, shape).bytes(9, &vec![0; 4 * shape.iter().product::<u64>() as usize])
}

/// A node.
pub fn node(kind: &str, inputs: &[&str], output: &str) -> Message {
    let inputs = inputs.iter().fold(Message::new(), |message, input| message.text(1, input));
    inputs.text(2, output).text(4, kind)
}

/// A file with this graph.
pub fn model(graph: &Message) -> Vec<u8> {
    Message::new().number(1, 7).text(2, "a test").message(7, graph).0
}

/// A file with these tensors.
pub fn with(tensors: &[Message]) -> Vec<u8> {
    model(&tensors.iter().fold(Message::new(), |graph, tensor| graph.message(5, tensor)))
}
