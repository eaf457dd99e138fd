/* cpu.h: what the CPU and the OS grant. */
#ifndef STERNA_CPU_H
#define STERNA_CPU_H

#include <stdint.h>

/* One bit for each thing that a tier's files are compiled with or that its registers need from the OS. */
enum {
    CPU_AVX,
    CPU_AVX2,
    CPU_FMA,
    CPU_F16C,
    CPU_BMI1,
    CPU_BMI2,
    CPU_LZCNT,
    CPU_POPCNT,
    CPU_MOVBE,
    CPU_OS_YMM,
    CPU_AVX512F,
    CPU_AVX512CD,
    CPU_AVX512BW,
    CPU_AVX512DQ,
    CPU_AVX512VL,
    CPU_OS_ZMM,
    CPU_AVX512VNNI,
    CPU_AVX512VBMI,
    CPU_AVX512BF16,
    CPU_AMX_TILE,
    CPU_AMX_INT8,
    CPU_AMX_BF16,
    CPU_OS_AMX,
    CPU_FEATURES
};

/* All but CPU_OS_AMX. */
uint64_t sterna_cpu_detect(void);

/* CPU_OS_AMX: asks the OS for the tile registers, which cannot be given back. The CPU has xgetbv. */
int sterna_cpu_grants_tiles(void);

#endif
