use half::bf16;

use super::{all, assert_near, bits, device, noise, put, room, run, wide};
use crate::cuda::{
    driver::Device,
    kernels::{GemmArgs, Launch, count},
};

fn product(device: &Device, x: &[bf16], w: &[bf16], n: usize, k: usize) -> Vec<bf16> {
    let m = x.len() / k;
    let (x, w, out) = (put(device, &bits(x)), put(device, &bits(w)), room(device, m * n));
    let args = GemmArgs {
        x: x.start(),
        w: w.start(),
        out: out.start(),
        m: count(m),
        n: count(n),
        k: count(k),
    };
    run(device, Launch::gemm(m, n), &args);
    all(&out)
}

fn reference(x: &[bf16], w: &[bf16], k: usize) -> Vec<f64> {
    let (x, w) = (wide(x), wide(w));
    let dot = |x: &[f32], w: &[f32]| -> f64 {
        x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
    };
    x.chunks_exact(k).flat_map(|x| w.chunks_exact(k).map(move |w| dot(x, w))).collect()
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn products_of_every_tile_are_those_of_the_reference() {
    let device = device();
    for (m, n, k) in
        [(1, 64, 128), (16, 33, 40), (17, 32, 264), (64, 48, 72), (65, 130, 136), (129, 257, 64)]
    {
        let (x, w) = (noise(m * k, 1), noise(n * k, 2));
        let got = product(&device, &x, &w, n, k);
        assert_near(&got, &reference(&x, &w, k), 1e-4);
    }
}

#[test]
#[cfg_attr(not(feature = "cuda-emulation"), ignore = "needs a CUDA device")]
fn a_row_of_a_product_has_the_same_bits_whatever_it_shares_a_launch_with() {
    let device = device();
    let (n, k) = (96, 200);
    let (x, w) = (noise(130 * k, 3), noise(n * k, 4));
    let alone = product(&device, &x[..k], &w, n, k);
    for m in [2, 16, 17, 64, 65, 130] {
        let together = product(&device, &x[..m * k], &w, n, k);
        assert_eq!(bits(&together[..n]), bits(&alone), "among {m} rows");
    }
}
