//! A device's context, stream, memory and launches: a thin and safe face of the driver.
#![expect(
    unsafe_code,
    reason = "the driver's interface is C; every call below says why it is sound"
)]

use std::{ffi::CString, marker::PhantomData, ops::Range, os::raw::c_void, sync::Arc};

use cudarc::driver::{DriverError, result, sys};

use super::{
    kernels::{Kernel, Launch},
    probe::probe,
};
use crate::device::DeviceError;

/// Turns the driver's refusal of `operation` into ours.
pub(super) fn refused(operation: &'static str) -> impl Fn(DriverError) -> DeviceError {
    move |error| {
        let reason = error.error_string().map_or_else(
            |_| "the driver gives no reason".to_owned(),
            |text| text.to_string_lossy().into_owned(),
        );
        DeviceError::Driver { operation, code: error.0 as u32, reason }
    }
}

/// The kernels, compiled when this crate was.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));

/// An open device. Clones share its context and its one stream.
#[derive(Clone, Debug)]
pub(super) struct Device(Arc<Context>);

#[derive(Debug)]
struct Context {
    name: String,
    device: sys::CUdevice,
    handle: sys::CUcontext,
    stream: sys::CUstream,
    module: sys::CUmodule,
    /// By [`Kernel::index`].
    functions: Vec<sys::CUfunction>,
}

// SAFETY: handles of the driver may be used from any thread to which the context is current, and
// every operation below makes it so first; the driver serialises what needs it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: handles made in `Device::open`, released once, in reverse. A lost device refuses
        // all of it, and then there is nothing left to release.
        unsafe {
            result::ctx::set_current(self.handle).ok();
            result::stream::destroy(self.stream).ok();
            result::module::unload(self.module).ok();
            result::primary_ctx::release(self.device).ok();
        }
    }
}

/// Free and all memory of a device, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemoryInfo {
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Device {
    /// Opens the first device that can run the kernels, and loads them.
    pub(super) fn open() -> Result<Self, DeviceError> {
        let found = probe()?;
        // SAFETY: a device that the driver has just named; the context is released on drop.
        let handle = unsafe { result::primary_ctx::retain(found.device) }
            .map_err(refused("opening a context"))?;
        // SAFETY: the context was retained above.
        unsafe { result::ctx::set_current(handle) }.map_err(refused("entering the context"))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(refused("opening a stream"))?;
        // SAFETY: a fatbin that nvcc made; the driver finds its end itself. Never empty where a real
        // driver can be met: only a build that emulates has no image.
        let module = unsafe { result::module::load_data(IMAGE.as_ptr().cast()) }
            .map_err(refused("loading the kernels"))?;
        let functions =
            Kernel::all().map(|kernel| function(module, kernel)).collect::<Result<_, _>>()?;
        let device = found.device;
        let context = Context { name: found.name, device, handle, stream, module, functions };
        Ok(Self(Arc::new(context)))
    }

    /// What the driver calls it.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as `self`.
        unsafe { result::ctx::set_current(self.0.handle) }.map_err(refused("entering the context"))
    }

    pub(super) fn memory(&self) -> Result<MemoryInfo, DeviceError> {
        self.enter()?;
        let (free, total) = result::mem_get_info().map_err(refused("asking for free memory"))?;
        Ok(MemoryInfo { free: free as u64, total: total as u64 })
    }

    /// Room for `len` elements of anything: their bits are not defined. `what` names it where it does
    /// not fit.
    pub(super) fn room<T: Plain>(
        &self,
        what: &'static str,
        len: usize,
    ) -> Result<Buffer<T>, DeviceError> {
        let MemoryInfo { free, total } = self.memory()?;
        let bytes = len.max(1) * size_of::<T>();
        // SAFETY: the context is current; the buffer frees what is allocated.
        let at = unsafe { result::malloc_sync(bytes) }.map_err(|error| {
            if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                DeviceError::Memory { what, needed: bytes as u64, free, total }
            } else {
                refused("allocating memory")(error)
            }
        })?;
        Ok(Buffer { device: self.clone(), at, len, holds: PhantomData })
    }

    /// A copy of `values`.
    pub(super) fn copy_of<T: Plain>(
        &self,
        what: &'static str,
        values: &[T],
    ) -> Result<Buffer<T>, DeviceError> {
        let mut buffer = self.room(what, values.len())?;
        buffer.write(0, values)?;
        Ok(buffer)
    }

    /// Queues a kernel. Nothing has run yet when this returns.
    ///
    /// # Safety
    /// The arguments' addresses must hold what the kernel reads and writes under this grid, and stay
    /// allocated until the stream has passed the launch.
    pub(super) unsafe fn launch<A: Copy>(
        &self,
        launch: Launch,
        args: &A,
    ) -> Result<(), DeviceError> {
        let function = self.0.functions[launch.kernel.index()];
        let mut params = [std::ptr::from_ref(args).cast_mut().cast::<c_void>()];
        let (grid, block, shared) = (launch.grid, (launch.threads, 1, 1), launch.shared);
        // SAFETY: the driver copies the one argument before it returns; the rest is the caller's.
        unsafe { result::launch_kernel(function, grid, block, shared, self.0.stream, &mut params) }
            .map_err(refused(launch.kernel.doing()))
    }

    /// Waits until everything queued has run; what failed on the way shows here.
    pub(super) fn finish(&self) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.0.stream) }.map_err(refused("computing a step"))
    }

    /// Records what `queue` launches instead of running it.
    pub(super) fn record(
        &self,
        queue: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<Graph, DeviceError> {
        self.enter()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives, and recording ends below whatever `queue` says.
        unsafe { result::stream::begin_capture(self.0.stream, mode) }
            .map_err(refused("recording a graph"))?;
        let queued = queue();
        // SAFETY: recording has begun on this stream.
        let graph = unsafe { result::stream::end_capture(self.0.stream) }
            .map_err(refused("recording a graph"));
        queued?;
        let graph = graph?;
        // SAFETY: a graph just recorded; both handles are released on drop.
        let executable =
            unsafe { result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0)) };
        let executable = executable.map_err(refused("building a graph"))?;
        Ok(Graph { device: self.clone(), recorded: graph, executable })
    }
}

fn function(module: sys::CUmodule, kernel: Kernel) -> Result<sys::CUfunction, DeviceError> {
    let missing = || DeviceError::Driver {
        operation: "finding a kernel",
        code: sys::CUresult::CUDA_ERROR_NOT_FOUND as u32,
        reason: kernel.name(),
    };
    let name = CString::new(kernel.name()).map_err(|_| missing())?;
    // SAFETY: the module was just loaded.
    let function = unsafe { result::module::get_function(module, name) }
        .map_err(refused("finding a kernel"))?;
    let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    let most = i32::try_from(kernel.most_shared()).unwrap_or(i32::MAX);
    // SAFETY: a function of that module; the size is within what every device of the least
    // capability grants.
    unsafe { result::function::set_function_attribute(function, attribute, most) }
        .map_err(refused("granting a kernel its shared memory"))?;
    Ok(function)
}

/// Types whose every bit pattern is a value, and which have no padding.
///
/// # Safety
/// Implement it for such types only.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: numbers.
unsafe impl Plain for u16 {}
// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: numbers.
unsafe impl Plain for f32 {}
// SAFETY: eight numbers of four bytes each.
unsafe impl Plain for super::kernels::Ask {}
// SAFETY: eight numbers of four bytes each.
unsafe impl Plain for super::kernels::Answer {}

/// Memory of a device, freed on drop.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    device: Device,
    at: sys::CUdeviceptr,
    len: usize,
    holds: PhantomData<T>,
}

/// An address on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Address(sys::CUdeviceptr);

impl Address {
    /// Where a kernel takes nothing.
    pub(super) const NULL: Self = Self(0);
}

impl<T: Plain> Buffer<T> {
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Address of element `index`, which may be the end.
    ///
    /// # Panics
    /// Beyond the end.
    pub(super) fn at(&self, index: usize) -> Address {
        assert!(index <= self.len, "element {index} of {}", self.len);
        Address(self.at + (index * size_of::<T>()) as u64)
    }

    pub(super) fn start(&self) -> Address {
        Address(self.at)
    }

    /// Copies `values` to element `from` and on.
    ///
    /// # Panics
    /// Where they do not fit.
    pub(super) fn write(&mut self, from: usize, values: &[T]) -> Result<(), DeviceError> {
        assert!(from + values.len() <= self.len, "{from} + {} of {}", values.len(), self.len);
        if values.is_empty() {
            return Ok(());
        }
        self.device.enter()?;
        let Address(to) = self.at(from);
        // SAFETY: within the buffer. The source is pageable memory, which the driver has read when
        // the call returns.
        unsafe { result::memcpy_htod_async(to, values, self.device.0.stream) }
            .map_err(refused("copying to the device"))
    }

    /// Reads elements `range`, after everything queued before.
    ///
    /// # Panics
    /// Beyond the end.
    pub(super) fn read(&self, range: Range<usize>) -> Result<Vec<T>, DeviceError> {
        assert!(range.end <= self.len, "{range:?} of {}", self.len);
        let mut values = Vec::with_capacity(range.len());
        if range.is_empty() {
            return Ok(values);
        }
        self.device.enter()?;
        let Address(from) = self.at(range.start);
        // SAFETY: `Plain` types have no invalid bits; the room is reserved, and the length is set
        // only after the copy has come to its end.
        unsafe {
            let room = std::slice::from_raw_parts_mut(values.as_mut_ptr(), range.len());
            result::memcpy_dtoh_async(room, from, self.device.0.stream)
                .map_err(refused("copying from the device"))?;
            self.device.finish()?;
            values.set_len(range.len());
        }
        Ok(values)
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        // SAFETY: allocated by `room`, freed once; the driver waits for what still uses it. A lost
        // device has nothing left to free.
        unsafe {
            result::ctx::set_current(self.device.0.handle).ok();
            result::free_sync(self.at).ok();
        }
    }
}

/// Recorded launches, run by one call. Its buffers must outlive it.
#[derive(Debug)]
pub(super) struct Graph {
    device: Device,
    recorded: sys::CUgraph,
    executable: sys::CUgraphExec,
}

// SAFETY: used by one thread at a time; as for `Context`.
unsafe impl Send for Graph {}

impl Graph {
    /// Queues the whole graph.
    ///
    /// # Safety
    /// As [`Device::launch`], for every launch recorded.
    pub(super) unsafe fn launch(&self) -> Result<(), DeviceError> {
        self.device.enter()?;
        // SAFETY: the graph lives; the rest is the caller's.
        unsafe { result::graph::launch(self.executable, self.device.0.stream) }
            .map_err(refused("running a graph"))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: handles made in `Device::record`, released once.
        unsafe {
            result::ctx::set_current(self.device.0.handle).ok();
            result::graph::exec_destroy(self.executable).ok();
            result::graph::destroy(self.recorded).ok();
        }
    }
}
