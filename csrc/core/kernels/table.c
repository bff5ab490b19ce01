#include "kernels.h"
#include "simd.h"

#define ML_STRING_(x) #x
#define ML_STRING(x) ML_STRING_(x)
#define KERNEL(result, name, arguments) .name = ML_KERNEL(name),

extern const ml_kernels ML_KERNEL(kernels);
const ml_kernels ML_KERNEL(kernels) = {
    .isa = ML_STRING(ML_ISA),
    .lanes = ML_LANES,
    .tuned = ML_ISA_ID == ML_ISA_avx512,
#include "kernels.def"
};
