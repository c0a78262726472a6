// Before a kernel's text: CUDA C++ as NVRTC takes it, without headers.
typedef unsigned int uint;
typedef unsigned long long ulong;

#define KERNEL(name) extern "C" __global__ void __launch_bounds__(LAUNCH_THREADS) name
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
#define BARRIER() __syncthreads()
#define BARRIER_WITH_MEMORY() __syncthreads()
#define LOAD4(pointer) (*(const float4*)(pointer))
#define GROUP_LOAD4(pointer) (*(const float4*)(pointer))
#define UNROLL _Pragma("unroll")
#define INFINITY __int_as_float(0x7f800000)
