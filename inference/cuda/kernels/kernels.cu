// Every kernel, in one translation unit: compiled by nvcc for devices, and by a C++ compiler as part
// of the emulated driver (../emulator/driver.cpp).
#include "attention.cuh"
#include "gemm.cuh"
#include "rows.cuh"
#include "sample.cuh"

// inference/src/cuda/kernels.rs lays these out on the other side.
static_assert(sizeof(EmbedArgs) == 32 && sizeof(NormArgs) == 40, "as the host has them");
static_assert(sizeof(GateArgs) == 24 && sizeof(RopeArgs) == 104, "as the host has them");
static_assert(sizeof(GemmArgs) == 40 && sizeof(AttendArgs) == 96, "as the host has them");
static_assert(sizeof(SampleArgs) == 128 && sizeof(Ask) == 32, "as the host has them");
static_assert(sizeof(Answer) == 32 && sizeof(Span) == 20, "as the host has them");
