/* cpu.c: cpuid and xgetbv, and for AMX the kernel's permission to use the tile registers. */
#include "cpu.h"

#include "sterna.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define XCR0_YMM 0x6u    /* xmm and ymm state */
#define XCR0_ZMM 0xe6u   /* and opmask, upper zmm */
#define XCR0_AMX 0x60000u /* tile configuration and tile data */

static uint64_t bit(uint32_t word, int position, int feature) {
    return (uint64_t)(word >> position & 1) << feature;
}

static uint32_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Linux grants the 8 KiB of tile data only to a process that asks (arch_prctl ARCH_REQ_XCOMP_PERM), and then to
 * all its threads, older ones too. Signal frames grow with them: Linux refuses while a thread has an alternate
 * signal stack below AT_MINSIGSTKSZ, and after that refuses such stacks. HotSpot has no alternate stacks. A sandbox may
 * answer the request without passing it on, so that the answer is looked up (ARCH_GET_XCOMP_PERM). */
static int linux_grants_tiles(void) {
#if defined(__linux__)
    const long request_permission = 0x1023, get_permission = 0x1022, tile_data = 18;
    uint64_t granted = 0;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0
        && syscall(SYS_arch_prctl, get_permission, &granted) == 0 && granted >> tile_data & 1;
#else
    return 0;
#endif
}

#if defined(STERNA_AMX_EMULATED) /* the tests' build, whose AMX kernels run on emulated tiles */
#define TILES_EMULATED 1
#else
#define TILES_EMULATED 0
#endif

int sterna_cpu_grants_tiles(void) {
    return TILES_EMULATED || ((xcr0() & XCR0_AMX) == XCR0_AMX && linux_grants_tiles());
}

uint64_t sterna_cpu_detect(void) {
    uint32_t a, b, c, d, b7, c7, d7, a71 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    uint32_t os = c >> 27 & 1 ? xcr0() : 0;
    uint64_t features = bit(c, 28, CPU_AVX) | bit(c, 12, CPU_FMA) | bit(c, 29, CPU_F16C) | bit(c, 23, CPU_POPCNT)
                      | bit(c, 22, CPU_MOVBE);
    if (__get_cpuid(0x80000001, &a, &b, &c, &d)) features |= bit(c, 5, CPU_LZCNT);
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7)) return features;
    if (a >= 1) __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    features |= bit(b7, 5, CPU_AVX2) | bit(b7, 3, CPU_BMI1) | bit(b7, 8, CPU_BMI2);
    features |= bit(b7, 16, CPU_AVX512F) | bit(b7, 28, CPU_AVX512CD) | bit(b7, 30, CPU_AVX512BW)
              | bit(b7, 17, CPU_AVX512DQ) | bit(b7, 31, CPU_AVX512VL);
    features |= bit(c7, 11, CPU_AVX512VNNI) | bit(c7, 1, CPU_AVX512VBMI) | bit(a71, 5, CPU_AVX512BF16);
    features |= bit(d7, 24, CPU_AMX_TILE) | bit(d7, 25, CPU_AMX_INT8) | bit(d7, 22, CPU_AMX_BF16);
    if ((os & XCR0_YMM) == XCR0_YMM) features |= 1ull << CPU_OS_YMM;
    if ((os & XCR0_ZMM) == XCR0_ZMM) features |= 1ull << CPU_OS_ZMM;
    if (TILES_EMULATED) features |= 1ull << CPU_AMX_TILE | 1ull << CPU_AMX_INT8 | 1ull << CPU_AMX_BF16;
    return features;
}

#else

uint64_t sterna_cpu_detect(void) {
    return 0;
}

int sterna_cpu_grants_tiles(void) {
    return 0;
}

#endif
