//! The wire format of protocol buffers.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

use super::OnnxProblem;

/// Maximum length of a varint in bytes.
const MAX_VARINT: usize = 10;

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    /// Text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// A cursor over the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    offset: usize,
    /// Where the message starts in the file.
    start: usize,
}

impl<'a> Message<'a> {
    /// A message that is the whole file.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, start: 0 }
    }

    /// The next field, as its number and value.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, OnnxProblem> {
        if self.offset == self.bytes.len() {
            return Ok(None);
        }
        let at = self.offset;
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.array()?),
            _ => return Err(self.wrong(at, "a field has an unknown wire type")),
        };
        match key >> 3 {
            0 => Err(self.wrong(at, "a field has the number 0")),
            number => Ok(Some((number, value))),
        }
    }

    /// The message in a field.
    pub(super) fn inner(&self, value: Value<'a>) -> Result<Self, OnnxProblem> {
        let bytes = self.bytes(value)?;
        // Fields are read in order, so the field's content ends here.
        Ok(Self { bytes, offset: 0, start: self.start + self.offset - bytes.len() })
    }

    pub(super) fn bytes(&self, value: Value<'a>) -> Result<&'a [u8], OnnxProblem> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong(self.offset, "a number stands where text or a message is needed")),
        }
    }

    pub(super) fn text(&self, value: Value<'a>) -> Result<&'a str, OnnxProblem> {
        let bytes = self.bytes(value)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong(self.offset, "a name is not UTF-8"))
    }

    pub(super) fn number(&self, value: Value<'a>) -> Result<u64, OnnxProblem> {
        match value {
            Value::Varint(number) => Ok(number),
            _ => Err(self.wrong(self.offset, "text or a message stands where a number is needed")),
        }
    }

    /// Appends the numbers of a repeated field, which may be packed.
    pub(super) fn numbers(&self, value: Value<'a>, all: &mut Vec<u64>) -> Result<(), OnnxProblem> {
        if let Value::Varint(number) = value {
            all.push(number);
            return Ok(());
        }
        let mut packed = self.inner(value)?;
        while packed.offset < packed.bytes.len() {
            all.push(packed.varint()?);
        }
        Ok(())
    }

    /// Appends the bytes of a repeated field of fixed-size numbers, which may be packed.
    pub(super) fn fixed(&self, value: Value<'a>, all: &mut Vec<u8>) {
        match value {
            Value::Fixed32(bytes) => all.extend(bytes),
            Value::Fixed64(bytes) => all.extend(bytes),
            Value::Bytes(bytes) => all.extend(bytes),
            Value::Varint(number) => all.extend(number.to_le_bytes()),
        }
    }

    fn varint(&mut self) -> Result<u64, OnnxProblem> {
        let mut number = 0;
        for index in 0..MAX_VARINT {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.wrong(self.offset, "a number has more than ten bytes"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OnnxProblem> {
        let Some(taken) = self.bytes[self.offset..].first_chunk() else {
            return Err(self.wrong(self.offset, "the file or a message is truncated"));
        };
        self.offset += N;
        Ok(*taken)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], OnnxProblem> {
        let rest = &self.bytes[self.offset..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.wrong(self.offset, "the file or a message is truncated"))?;
        self.offset += taken.len();
        Ok(taken)
    }

    fn wrong(&self, offset: usize, reason: &'static str) -> OnnxProblem {
        OnnxProblem::Wire { offset: self.start + offset, reason }
    }
}
