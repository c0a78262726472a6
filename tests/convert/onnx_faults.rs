//! Malformed and unsupported ONNX files give errors that name the file and the reason.

use std::fs;

use diarize_convert::{ConvertOptions, convert};
use fastrand::Rng;

use crate::{
    protobuf::{Message, head, model, node, with, zeros},
    support::{golden, no_hub},
};

const FLOAT: u64 = 1;
const INT8: u64 = 3;

/// The tensors of an exported `PyanNet` with one LSTM layer in one direction and a classifier, all zero.
fn segmentation() -> Vec<Message> {
    let shapes: [(&str, &[u64]); 17] = [
        ("sincnet.wav_norm1d.weight", &[1]),
        ("sincnet.wav_norm1d.bias", &[1]),
        ("sincnet.conv1d.0.filterbank.low_hz_", &[40, 1]),
        ("sincnet.conv1d.0.filterbank.band_hz_", &[40, 1]),
        ("sincnet.conv1d.1.weight", &[60, 80, 5]),
        ("sincnet.conv1d.1.bias", &[60]),
        ("sincnet.conv1d.2.weight", &[60, 60, 5]),
        ("sincnet.conv1d.2.bias", &[60]),
        ("sincnet.norm1d.0.weight", &[80]),
        ("sincnet.norm1d.0.bias", &[80]),
        ("sincnet.norm1d.1.weight", &[60]),
        ("sincnet.norm1d.1.bias", &[60]),
        ("onnx::LSTM_20", &[1, 16]),
        ("onnx::LSTM_21", &[1, 8, 60]),
        ("onnx::LSTM_103", &[1, 8, 2]),
        ("classifier.bias", &[7]),
        ("onnx::MatMul_200", &[2, 7]),
    ];
    shapes.map(|(name, shape)| zeros(name, shape)).to_vec()
}

/// That network, in which one tensor has another shape.
fn with_shape(name: &str, shape: &[u64]) -> Vec<u8> {
    let named = |tensor: &Message| tensor.0.windows(name.len()).any(|window| window == name.as_bytes());
    let mut tensors = segmentation();
    let tensor = tensors.iter_mut().find(|tensor| named(tensor)).unwrap();
    *tensor = zeros(name, shape);
    with(&tensors)
}

/// That network without one tensor.
fn without(name: &str) -> Vec<u8> {
    let named = |tensor: &Message| tensor.0.windows(name.len()).any(|window| window == name.as_bytes());
    with(&segmentation().into_iter().filter(|tensor| !named(tensor)).collect::<Vec<_>>())
}

/// An exported ResNet with these convolutions.
fn resnet(convolutions: &[&[u64]]) -> Vec<u8> {
    let mut tensors = vec![zeros("model.seg_1.weight", &[4, 320]), zeros("model.seg_1.bias", &[4])];
    for (index, shape) in convolutions.iter().enumerate() {
        tensors.push(zeros(&format!("onnx::Conv_{}", 9 + 3 * index), shape));
        tensors.push(zeros(&format!("onnx::Conv_{}", 10 + 3 * index), &shape[..1]));
    }
    with(&tensors)
}

/// A rounded weight with this shape, scale and zero point.
fn rounded(shape: &[u64], scale: &Message, zero_point: Option<&Message>) -> Vec<u8> {
    let values = vec![1; shape.iter().product::<u64>() as usize];
    let mut tensors = vec![head("w_quantized", INT8, shape).bytes(9, &values), scale.clone()];
    tensors.extend(zero_point.cloned());
    with(&tensors)
}

/// A large tensor that has 20,000 other names.
fn copies() -> Vec<u8> {
    let graph = Message::new().message(5, &zeros("w", &[500_000]));
    let name = |index: usize| node("Identity", &["w"], &format!("copy{index}"));
    model(&(0..20_000).fold(graph, |graph, index| graph.message(1, &name(index))))
}

/// That network with metadata as of sherpa-onnx.
fn with_powerset(simultaneous: u64) -> Vec<u8> {
    let property = |key: &str, value: &str| Message::new().text(1, key).text(2, value);
    Message(with(&segmentation()))
        .message(14, &property("num_speakers", "3"))
        .message(14, &property("powerset_max_classes", &simultaneous.to_string()))
        .0
}

/// A file with one tensor.
fn one(tensor: Message) -> Vec<u8> {
    with(&[tensor])
}

/// Name, content and a part of the expected reason.
type Case = (&'static str, Vec<u8>, &'static str);

fn wire() -> Vec<Case> {
    let whole = one(zeros("w", &[2]));
    let fields = |bytes: &[u8]| Message::new().number(1, 7).raw(bytes).0;
    vec![
        ("truncated", whole[..whole.len() - 1].to_vec(), "truncated at byte"),
        ("only-version", fields(&[]), "has no graph"),
        ("half-field", fields(&[0x3a]), "truncated at byte 3"),
        ("long-field", fields(&[0x3a, 0x7f]), "truncated at byte 4"),
        ("endless-number", fields(&[0x80; 12]), "more than ten bytes"),
        (
            "huge-length",
            fields(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            "truncated",
        ),
        ("group", fields(&[0x3b]), "unknown wire type at byte 2"),
        ("field-0", fields(&[0x02, 0]), "number 0 at byte 2"),
        ("number-as-graph", fields(&[0x38, 1]), "text or a message is needed at byte 4"),
        ("number-as-tensor", model(&Message::new().number(5, 1)), "text or a message is needed"),
        ("text-as-type", one(Message::new().text(2, "x")), "a number is needed"),
        ("name-not-text", one(Message::new().bytes(8, &[0xff])), "not UTF-8"),
        ("half-double", fields(&[0x11, 1, 2]), "truncated at byte 3"),
        ("half-float", fields(&[0x15, 1, 2]), "truncated at byte 3"),
        ("dimension-cut", one(Message::new().bytes(1, &[0x80])), "truncated at byte"),
        ("number-as-node", model(&Message::new().number(1, 1)), "text or a message is needed"),
        ("number-as-property", fields(&[0x70, 1]), "text or a message is needed"),
    ]
}

fn tensors() -> Vec<Case> {
    vec![
        ("no-tensors", model(&Message::new()), "has no weights"),
        ("unnamed", one(head("", FLOAT, &[1]).bytes(9, &[0; 4])), "has no name"),
        (
            "same-name",
            with(&[zeros("w", &[1]), zeros("w", &[1])]),
            "two tensors of the ONNX file are called `w`",
        ),
        ("no-type", one(Message::new().text(8, "w")), "tensor `w` has the unsupported dtype number 0"),
        ("complex", one(head("w", 14, &[1]).bytes(9, &[0; 8])), "dtype number 14"),
        (
            "short-values",
            one(head("w", FLOAT, &[2]).bytes(9, &[0; 7])),
            "7 bytes of values, but its shape needs 8",
        ),
        ("no-values", one(head("w", FLOAT, &[2])), "0 bytes of values, but its shape needs 8"),
        ("negative", one(head("w", FLOAT, &[u64::MAX])), "`w` has a negative dimension"),
        ("overflow", one(head("w", FLOAT, &[1 << 40, 1 << 40])), "overflows"),
        ("segments", one(zeros("w", &[1]).message(3, &Message::new())), "`w` is stored in segments"),
        ("external", one(zeros("w", &[1]).number(14, 1)), "`w` are in another file"),
        (
            "external-data",
            one(head("w", FLOAT, &[1]).message(13, &Message::new().text(1, "location"))),
            "in another file",
        ),
        (
            "external-constant",
            model(
                &Message::new().message(
                    1,
                    &node("Constant", &[], "c")
                        .message(5, &Message::new().message(5, &head("", FLOAT, &[1]).number(14, 1))),
                ),
            ),
            "`c` are in another file",
        ),
        ("no-scale", one(head("w_quantized", INT8, &[1]).bytes(9, &[1])), "`w_quantized` has no scale"),
        (
            "integer-scale",
            rounded(&[2], &head("w_scale", INT8, &[]).bytes(9, &[1]), None),
            "a scale of integers",
        ),
        (
            "nan-scale",
            rounded(&[2], &head("w_scale", FLOAT, &[]).bytes(9, &f32::NAN.to_le_bytes()), None),
            "a scale that is not finite",
        ),
        ("copies", copies(), "exceed the limit"),
        ("empty-scale", rounded(&[2], &zeros("w_scale", &[0]), None), "of different numbers"),
        ("scales", rounded(&[2, 3, 4], &zeros("w_scale", &[4]), None), "scales that do not fit its shape"),
        (
            "zero-points",
            rounded(&[2], &zeros("w_scale", &[]), Some(&head("w_zero_point", INT8, &[2]).bytes(9, &[0; 2]))),
            "of different numbers",
        ),
        (
            "zero-point-type",
            rounded(&[2], &zeros("w_scale", &[]), Some(&zeros("w_zero_point", &[]))),
            "a zero point of another type",
        ),
        (
            "rounded-text",
            with(&[head("w_quantized", 4, &[1]).bytes(9, &[0; 2]), zeros("w_scale", &[])]),
            "not of 8-bit or 32-bit integers",
        ),
        (
            "rounded-twice",
            with(&[head("w_quantized", INT8, &[1]).bytes(9, &[0]), zeros("w_scale", &[]), zeros("w", &[1])]),
            "two tensors of the ONNX file are called `w`",
        ),
    ]
}

fn networks() -> Vec<Case> {
    const STEM: [&[u64]; 3] = [&[2, 1, 3, 3], &[2, 2, 3, 3], &[2, 2, 3, 3]];
    vec![
        ("other", one(zeros("encoder.weight", &[3, 4])), "tensor `encoder.weight` of shape [3, 4] fits none"),
        ("lstm-alone", with(&segmentation()[12..15]), "tensor `onnx::LSTM_103` of shape [1, 8, 2] fits none"),
        ("two-lstm-tensors", without("onnx::LSTM_103"), "tensor `onnx::LSTM_20` has shape [1, 16]"),
        ("no-biases", without("onnx::LSTM_20"), "tensor `onnx::LSTM_21` has shape [1, 8, 60]"),
        ("state", with_shape("onnx::LSTM_103", &[1, 8, 3]), "tensor `onnx::LSTM_103` has shape [1, 8, 3]"),
        ("input", with_shape("onnx::LSTM_21", &[1, 9, 60]), "tensor `onnx::LSTM_21` has shape [1, 9, 60]"),
        ("directions", with_shape("onnx::LSTM_20", &[3, 16]), "tensor `onnx::LSTM_20` has shape [3, 16]"),
        ("biases", with_shape("onnx::LSTM_20", &[1, 17]), "tensor `onnx::LSTM_20` has shape [1, 17]"),
        ("matrix", with_shape("onnx::MatMul_200", &[14]), "tensor `onnx::MatMul_200` has shape [14]"),
        ("no-matrix", without("onnx::MatMul_200"), "fits none"),
        (
            "matrices",
            with(&[segmentation(), vec![zeros("onnx::MatMul_201", &[7, 7])]].concat()),
            "tensor `onnx::MatMul_201` has shape [7, 7]",
        ),
        ("powerset", with_powerset(u64::MAX), "the number of outputs does not match the specifications"),
        ("no-filters", without("low_hz_"), "fits none"),
        (
            "filters",
            with_shape("sincnet.conv1d.0.filterbank.low_hz_", &[30, 1]),
            "must have 40 cutoff frequencies",
        ),
        (
            "another-layer",
            with(&[segmentation(), vec![zeros("onnx::Conv_300", &[7, 7, 1])]].concat()),
            "tensor `onnx::Conv_300` of shape [7, 7, 1] fits none",
        ),
        ("stem", resnet(&[&[2, 3, 3, 3]]), "tensor `onnx::Conv_9` has shape [2, 3, 3, 3]"),
        (
            "second",
            resnet(&[STEM[0], &[2, 3, 3, 3], STEM[2]]),
            "tensor `onnx::Conv_12` has shape [2, 3, 3, 3]",
        ),
        (
            "third-stage",
            resnet(&[STEM[0], STEM[1], STEM[2], &[8, 2, 3, 3]]),
            "tensor `onnx::Conv_18` has shape [8, 2, 3, 3]",
        ),
        ("half-block", resnet(&STEM[..2]), "tensor `resnet.layer1.0.conv2.weight` is missing"),
        ("one-dimension", resnet(&[&[2, 1, 3]]), "tensor `onnx::Conv_9` has shape [2, 1, 3]"),
        (
            "head",
            with(&[
                zeros("model.seg_1.weight", &[4, 320]),
                zeros("onnx::Conv_9", &[2, 1, 3, 3]),
                zeros("onnx::Conv_10", &[2]),
                zeros("head.weight", &[2, 4]),
            ]),
            "tensor `head.weight` of shape [2, 4] fits none",
        ),
        (
            "mean",
            with(&[
                zeros("mean_vec", &[3]),
                zeros("seg_1.weight", &[4, 320]),
                zeros("seg_1.bias", &[4]),
                zeros("layer1.0.conv1.weight", &[2, 2, 3, 3]),
            ]),
            "tensor `mean_vec` has shape [3]",
        ),
    ]
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [wire(), tensors(), networks()].concat();
    assert!(cases.len() >= 40);
    for (name, bytes, reason) in cases {
        let path = dir.path().join(name).with_extension("onnx");
        fs::write(&path, bytes).unwrap();
        let outcome = convert(path.to_str().unwrap(), &ConvertOptions::default(), &mut no_hub);
        let Err(error) = outcome else { panic!("{name} was converted") };
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(reason), "{name}, {reason:?}: {message}");
        assert!(!message.contains('\n') && message.len() < 500, "{name}: {message}");
    }
}

/// Damage near the names and shapes of tensors gives errors or other weights, but never a panic.
#[test]
fn damaged_exports_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.onnx");
    let mut rng = Rng::with_seed(11);
    for name in ["embedding.onnx", "embedding.bottleneck.onnx", "segmentation.int8.onnx"] {
        let whole = fs::read(golden("onnx").join(name)).unwrap();
        let places: Vec<usize> = (8..whole.len() - 40)
            .filter(|&at| {
                [&b"onnx::"[..], b"_scale", b"_quantized", b"seg_1"]
                    .iter()
                    .any(|word| whole[at..].starts_with(word))
            })
            .collect();
        let mut converted = 0;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..rng.usize(1..4) {
                let at = places[rng.usize(..places.len())] + rng.usize(..40) - 8;
                bytes[at] = if rng.bool() { rng.u8(..) } else { bytes[at] ^ 1 << rng.u8(..8) };
            }
            fs::write(&path, bytes).unwrap();
            converted +=
                usize::from(convert(path.to_str().unwrap(), &ConvertOptions::default(), &mut no_hub).is_ok());
        }
        println!("{name}: {converted} of 300 damaged files can still be converted");
        assert!(converted < 290, "{name}: the damage changes nothing");
    }
}

/// The names that are shared by several tensors, and constants in nodes.
#[test]
fn equal_tensors_and_constants_are_found() {
    let constant = Message::new().message(5, &head("", FLOAT, &[1]).bytes(4, &2.5_f32.to_le_bytes()));
    let graph = Message::new()
        .message(1, &node("Identity", &["w"], "same"))
        .message(1, &node("Constant", &[], "c").message(5, &constant))
        .message(1, &node("Relu", &["w"], "other"))
        .message(5, &head("w", 10, &[2]).number(5, 0x3c00).number(5, 0xc000))
        .message(5, &head("steps", 7, &[2]).bytes(7, &Message::new().varint(3).varint(u64::MAX).0));
    let read = diarize_convert::Checkpoint::read(&model(&graph)).unwrap().tensors;
    let values = |name: &str| read[name].to_f32().unwrap();
    assert_eq!((values("w"), values("same"), values("c")), (vec![1.0, -2.0], vec![1.0, -2.0], vec![2.5]));
    assert_eq!(read["steps"].bytes, [3_i64.to_le_bytes(), (-1_i64).to_le_bytes()].concat());
    assert_eq!(read.len(), 4);
}
