//! Compiles the CUDA kernels where the feature `cuda` asks for them; otherwise does nothing.
//!
//! - `cuda`: nvcc makes one fatbin for compute capabilities 8.0 and 9.0, with PTX for newer ones.
//!   nvcc is looked for in `NVCC`, `CUDA_HOME`, `CUDA_PATH`, the folder that `scripts/install-nvcc`
//!   fills, the usual place of a toolkit, and `PATH`.
//! - `cuda-emulation`, for tests: a C++ compiler (`CXX`, or `c++`) makes a libcuda.so.1 that runs the
//!   same kernels without a device. nvcc is then not needed.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// Where kernels, and the headers they share, lie.
const SOURCES: &str = "cuda";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if !has("CUDA") {
        return Ok(());
    }
    println!("cargo:rerun-if-changed={SOURCES}");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "CXX", "GANGLION_CACHE"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let emulated = has("CUDA_EMULATION");
    if emulated {
        let library = emulate(&out)?;
        println!("cargo:rustc-env=GANGLION_EMULATED_CUDA={}", library.display());
    }
    let image = out.join("kernels.fatbin");
    let toolkit = match nvcc() {
        Some(nvcc) => {
            compile(&nvcc, &image)?;
            version(&nvcc)?
        }
        None if emulated => {
            fs::write(&image, [])?;
            Toolkit { major: 0, minor: 0 }
        }
        None => return Err(NO_NVCC.into()),
    };
    println!("cargo:rustc-env=GANGLION_CUDA_MAJOR={}", toolkit.major);
    println!("cargo:rustc-env=GANGLION_CUDA_MINOR={}", toolkit.minor);
    Ok(())
}

const NO_NVCC: &str = "the feature `cuda` needs nvcc: run scripts/install-nvcc (CUDA's compiler from \
                       PyPI, 270 MB, no device needed), or set CUDA_HOME to an installed toolkit";

fn has(feature: &str) -> bool {
    env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
}

/// The first nvcc that runs.
fn nvcc() -> Option<PathBuf> {
    let named = env::var_os("NVCC").map(PathBuf::from);
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let cache = env::var_os("GANGLION_CACHE")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache/ganglion")))
        .map(|cache| cache.join("nvcc/nvidia/cu13"));
    let usual = PathBuf::from("/usr/local/cuda");
    let installed = homes.chain(cache).chain([usual]).map(|home| home.join("bin/nvcc"));
    named
        .into_iter()
        .chain(installed)
        .chain([PathBuf::from("nvcc")])
        .find(|nvcc| Command::new(nvcc).arg("--version").output().is_ok_and(|o| o.status.success()))
}

/// Which architectures get machine code; [`PTX`] is compiled by the driver for later ones.
const ARCHITECTURES: [u32; 2] = [80, 90];
const PTX: u32 = 90;

fn compile(nvcc: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(nvcc);
    // No contraction: kernels fuse only where they say so, and give their CPU reference's bits.
    command.args(["-std=c++17", "-O3", "-fmad=false", "--fatbin", "--threads=2"]);
    for architecture in ARCHITECTURES {
        command.arg("-gencode");
        command.arg(format!("arch=compute_{architecture},code=sm_{architecture}"));
    }
    command.arg("-gencode").arg(format!("arch=compute_{PTX},code=compute_{PTX}"));
    command.arg("-o").arg(image).arg(Path::new(SOURCES).join("kernels/kernels.cu"));
    run(command)
}

struct Toolkit {
    major: u32,
    minor: u32,
}

/// Reads `release 13.0` out of what nvcc says of itself.
fn version(nvcc: &Path) -> Result<Toolkit, Box<dyn Error>> {
    let said = Command::new(nvcc).arg("--version").output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let release = said.split("release ").nth(1).and_then(|rest| rest.split(',').next());
    let parts = release.and_then(|release| release.split_once('.'));
    let (major, minor) = parts.ok_or("nvcc --version names no release")?;
    Ok(Toolkit { major: major.parse()?, minor: minor.parse()? })
}

/// Builds the emulated driver; a test opens it before anything looks for the real one.
fn emulate(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let library = out.join("libcuda.so.1");
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden"]);
    command.args(["-DGANGLION_EMULATED", "-ffp-contract=off", "-fno-strict-aliasing"]);
    // Fibers leave each other by longjmp, which hardened C libraries take for an attack.
    command.args(["-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]);
    command.arg("-Wl,-soname,libcuda.so.1");
    for source in ["driver.cpp", "fibers.cpp"] {
        command.arg(Path::new(SOURCES).join("emulator").join(source));
    }
    command.arg("-o").arg(&library);
    run(command)?;
    Ok(library)
}

fn run(mut command: Command) -> Result<(), Box<dyn Error>> {
    let program = command.get_program().to_owned();
    let status = command.status().map_err(|error| {
        io::Error::new(error.kind(), format!("{} does not start: {error}", program.display()))
    })?;
    if status.success() { Ok(()) } else { Err(format!("{} failed", program.display()).into()) }
}
