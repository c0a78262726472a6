// Prelude to every kernel: CUDA C++ for NVRTC, without headers.
typedef unsigned int uint;
typedef unsigned long long ulong;

#define KERNEL(name) extern "C" __global__ void __launch_bounds__(THREADS) name
#define KERNEL_RESIDENT(name, groups) extern "C" __global__ void __launch_bounds__(THREADS, groups) name
#define IN(type, name, index) const type* __restrict__ name
#define OUT(type, name, index) type* __restrict__ name
#define PARAMS(type, index) const type p
#define INDICES                                                                                        \
    const uint3 group = blockIdx;                                                                      \
    const uint item = threadIdx.x;                                                                     \
    (void)group;                                                                                       \
    (void)item;
#define FUNCTION static __device__ __forceinline__
#define GROUP __shared__ __align__(16)
#define GROUP_POINTER(type) type*
#define IN_POINTER(type) const type*
#define OUT_POINTER(type) type*
#define THREAD_POINTER(type) type*
#define BARRIER() __syncthreads()
#define SIMD_BARRIER() __syncwarp()
#define BARRIER_WITH_MEMORY() __syncthreads()
#define LOAD4(pointer) (*(const float4*)(pointer))
#define STORE4(pointer, value) (*(float4*)(pointer) = (value))
#define LOAD2(pointer) (*(const float2*)(pointer))
#define STORE2(pointer, value) (*(float2*)(pointer) = (value))
#define GROUP_LOAD4(pointer) (*(const float4*)(pointer))
#define SHUFFLE(value, lane) __shfl_sync(0xffffffffu, value, lane)
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
// Uses the special function unit. The result is within 3e-7 of the logarithm of a normal (not subnormal) number.
FUNCTION float log2_of_normal(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#define LOG(x) (0.693147181f * log2_of_normal(x))
// These use the special function unit, without branches.
FUNCTION float exponential(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(1.44269504f * x));
    return y;
}
FUNCTION float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#define EXP(x) exponential(x)
#define RECIPROCAL(x) reciprocal(x)
#define INFINITY __int_as_float(0x7f800000)
