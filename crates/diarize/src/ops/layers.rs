//! Operations built from Candle's. Each is written once, and runs in f32 on the device and in f64 on the CPU.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{BatchNorm, GRUConfig, LayerNorm, Linear, Module, ModuleT, RNN, VarBuilder, ops};

use super::{
    KernelOf, Op, Pending,
    values::{noise, tensor, to_f64},
};

/// Time steps, values per step, and parallel sequences of the sequence layers.
const STEPS: usize = 100;
const WIDTH: usize = 64;
const BATCH: usize = 4;

pub(super) fn ops() -> Vec<Op> {
    vec![
        op("tensor basics: + * sum cat transpose, 512 x 512", 1e-5, &[&[512, 512], &[512, 512]], basics),
        op("matmul 512 x 512 x 512", 1e-5, &[&[512, 512], &[512, 512]], |x| x[0].matmul(&x[1])),
        op("conv1d 64 to 64 channels, size 5, 2,000 steps", 1e-5, &[&[4, 64, 2000], &[64, 64, 5]], |x| {
            x[0].conv1d(&x[1], 2, 1, 1, 1)
        }),
        op("conv2d 32 to 32 channels, 3 x 3, 80 x 200", 1e-5, &[&[2, 32, 80, 200], &[32, 32, 3, 3]], |x| {
            x[0].conv2d(&x[1], 1, 1, 1, 1)
        }),
        op("linear 256 to 128, 1,000 rows", 1e-5, &[&[1000, 256], &[128, 256], &[128]], |x| {
            Linear::new(x[1].clone(), Some(x[2].clone())).forward(&x[0])
        }),
        op("relu, leaky relu, gelu, silu, sigmoid, tanh, softmax", 1e-5, &[&[256, 256]], activations),
        op("layer norm 256", 1e-5, &[&[1000, 256], &[256], &[256]], |x| layer_norm(&x[0], &x[1], &x[2])),
        op("batch norm 64 channels", 1e-5, &[&[8, 64, 500], &[64], &[64], &[64], &[64]], |x| {
            let variance = x[2].sqr()?.affine(1.0, 0.5)?;
            BatchNorm::new(64, x[1].clone(), variance, x[3].clone(), x[4].clone(), 1e-5)?
                .forward_t(&x[0], false)
        }),
        op("GRU 64, 100 steps", 1e-5, &[&[BATCH, STEPS, WIDTH], &[192, 64], &[192, 64], &[192], &[192]], gru),
        op(
            "attention, 4 heads of 16, 100 steps",
            1e-5,
            &[&[BATCH, 4, STEPS, 16], &[BATCH, 4, STEPS, 16], &[BATCH, 4, STEPS, 16]],
            |x| attention(&x[0], &x[1], &x[2]),
        ),
        op(
            "transformer layer 64",
            1e-5,
            &[&[BATCH, STEPS, WIDTH], &[192, 64], &[64, 64], &[256, 64], &[64, 256], &[64], &[64]],
            transformer,
        ),
        op("unfold 10 s: windows of 400 every 160", 0.0, &[&[160_000]], |x| unfold(&x[0], 400, 160)),
        op("unfold 10 s: windows of 1600 every 800", 0.0, &[&[160_000]], |x| unfold(&x[0], 1600, 800)),
        op(
            "sparse x dense, 5,000 of 500 x 500, 64 columns",
            1e-5,
            &[&[5000], &[500, 64]],
            sparse_times_dense,
        ),
    ]
}

/// An operation applied to noise of the given shapes.
fn op(
    name: &'static str,
    tolerance: f64,
    shapes: &'static [&'static [usize]],
    forward: fn(&[Tensor]) -> Result<Tensor>,
) -> Op {
    let inputs = move |device: &Device| -> Result<Vec<Tensor>> {
        shapes.iter().zip(1..).map(|(&shape, seed)| tensor(shape, seed, device)).collect()
    };
    Op {
        name,
        kernel: KernelOf::Candle,
        always_on_cpu: false,
        tolerance,
        prepare: Box::new(move |device| {
            let inputs = inputs(device)?;
            Ok(Box::new(move || {
                let output = forward(&inputs)?;
                Ok(Box::new(move || to_f64(&output)) as Pending)
            }))
        }),
        expected: Box::new(move || {
            let inputs = inputs(&Device::Cpu)?;
            let inputs = inputs.iter().map(|x| x.to_dtype(DType::F64)).collect::<Result<Vec<_>>>()?;
            forward(&inputs)?.flatten_all()?.to_vec1()
        }),
    }
}

/// Candle's layer norm does not support f64, so there it is built from simpler operations.
fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::F64 => ops::layer_norm_slow(x, weight, bias, 1e-5),
        _ => LayerNorm::new(weight.clone(), bias.clone(), 1e-5).forward(x),
    }
}

fn basics(x: &[Tensor]) -> Result<Tensor> {
    let sum = ((&x[0] + &x[1])? * &x[0])?; // (512, 512)
    let part = sum.t()?.narrow(0, 100, 50)?.contiguous()?; // (50, 512)
    let row = sum.sum_keepdim(0)?.affine(0.01, 1.0)?; // (1, 512)
    Tensor::cat(&[part, row.clone(), sum.broadcast_sub(&row)?], 0)
}

fn activations(x: &[Tensor]) -> Result<Tensor> {
    let x = &x[0].affine(4.0, 0.0)?;
    let all = [
        x.relu()?,
        ops::leaky_relu(x, 0.01)?,
        x.gelu_erf()?,
        x.silu()?,
        ops::sigmoid(x)?,
        x.tanh()?,
        ops::softmax(x, D::Minus1)?,
        ops::log_softmax(x, D::Minus1)?,
    ];
    Tensor::cat(&all, 0)
}

fn gru(x: &[Tensor]) -> Result<Tensor> {
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    let weights = names.iter().zip(&x[1..]).map(|(name, x)| Ok(((*name).to_owned(), x.affine(0.2, 0.0)?)));
    let weights = weights.collect::<Result<_>>()?;
    let builder = VarBuilder::from_tensors(weights, x[0].dtype(), x[0].device());
    let gru = candle_nn::gru(WIDTH, WIDTH, GRUConfig::default(), builder)?;
    let states = gru.seq(&x[0])?;
    Tensor::stack(&states.iter().map(|state| state.h().clone()).collect::<Vec<_>>(), 1)
}

/// Scaled dot-product attention of queries, keys and values `(batch, head, step, width)`.
fn attention(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let width = queries.dim(D::Minus1)? as f64;
    let scores = (queries.matmul(&keys.t()?.contiguous()?)? / width.sqrt())?; // (batch, head, step, step)
    ops::softmax(&scores, D::Minus1)?.matmul(values)
}

/// Attention with four heads, then two linear layers, each with a residual connection and layer norm.
fn transformer(x: &[Tensor]) -> Result<Tensor> {
    let linear = |weight: &Tensor, x: &Tensor| Linear::new(weight.affine(0.2, 0.0)?, None).forward(x);
    let normalize = |values: Tensor| layer_norm(&values, &x[5], &x[6]);
    let projected = linear(&x[1], &x[0])?.reshape((BATCH, STEPS, 3, 4, 16))?.permute((2, 0, 3, 1, 4))?; // (3, batch, head, step, width)
    let part = |index| projected.get(index)?.contiguous();
    let attended = attention(&part(0)?, &part(1)?, &part(2)?)?; // (batch, head, step, width)
    let attended = attended.transpose(1, 2)?.reshape((BATCH, STEPS, WIDTH))?;
    let y = normalize((&x[0] + linear(&x[2], &attended)?)?)?;
    let inner = linear(&x[3], &y)?.gelu_erf()?; // (batch, step, 256)
    normalize((&y + linear(&x[4], &inner)?)?)
}

/// Windows of `length` samples, one every `hop` samples: `(window, length)`.
fn unfold(x: &Tensor, length: usize, hop: usize) -> Result<Tensor> {
    let windows = 1 + (x.dim(0)? - length) / hop;
    let places = (0..windows).flat_map(|window| (window * hop) as u32..(window * hop + length) as u32);
    let places = Tensor::from_iter(places, x.device())?;
    x.index_select(&places, 0)?.reshape((windows, length))
}

/// A sparse matrix with the given values at pseudo-random positions, times a dense matrix.
fn sparse_times_dense(x: &[Tensor]) -> Result<Tensor> {
    let count = x[0].dim(0)?;
    let size = x[1].dim(0)?;
    let places = |seed| -> Result<Tensor> {
        let place = |x: f32| ((x + 1.0) / 2.0 * size as f32) as u32;
        Tensor::from_iter(noise(count, seed).into_iter().map(place), x[0].device())
    };
    let products = x[1].index_select(&places(91)?, 0)?.broadcast_mul(&x[0].unsqueeze(1)?)?; // (value, column)
    x[1].zeros_like()?.index_add(&places(92)?, &products, 0)
}
