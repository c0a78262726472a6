// Prelude to every kernel: the Metal Shading Language.
#include <metal_stdlib>
using namespace metal;

#define KERNEL(name) [[max_total_threads_per_threadgroup(THREADS)]] kernel void name
#define KERNEL_RESIDENT(name, groups) KERNEL(name)
#define IN(type, name, index) device const type* name [[buffer(index)]]
#define OUT(type, name, index) device type* name [[buffer(index)]]
#define PARAMS(type, index)                                                                            \
    constant type &p [[buffer(index)]], uint3 group [[threadgroup_position_in_grid]],                  \
        uint item [[thread_index_in_threadgroup]]
#define INDICES
#define FUNCTION inline
#define GROUP threadgroup
#define GROUP_POINTER(type) threadgroup type*
#define IN_POINTER(type) device const type*
#define OUT_POINTER(type) device type*
#define THREAD_POINTER(type) thread type*
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup)
#define SIMD_BARRIER() simdgroup_barrier(mem_flags::mem_threadgroup)
#define BARRIER_WITH_MEMORY() threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device)
#define LOAD4(pointer) (*(device const float4*)(pointer))
#define STORE4(pointer, value) (*(device float4*)(pointer) = (value))
#define GROUP_LOAD4(pointer) (*(threadgroup const float4*)(pointer))
#define SHUFFLE(value, lane) simd_shuffle(value, (ushort)(lane))
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("nounroll")
#define LOG(x) log(x)
