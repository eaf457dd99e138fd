/* checkkern.c: runs every family on every granted tier; `--bench` times them instead. */
#include "check.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "families.h"

static const check_family *const FAMILIES[] = {CHECK_FAMILIES};
static const size_t FAMILY_COUNT = sizeof FAMILIES / sizeof *FAMILIES;

/* ---------------------------------------------------------------- cases and failures */

static char current_case[256];
static long cases, failures, family_failures;

void check_case(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(current_case, sizeof current_case, format, arguments);
    va_end(arguments);
    cases++;
}

void check_fail(const char *format, ...) {
    failures++;
    if (++family_failures > 10) return;
    va_list arguments;
    va_start(arguments, format);
    printf("FAIL %s: ", current_case);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static void on_fault(int signal_number) {
    char text[512];
    int length = snprintf(text, sizeof text, "FAULT (signal %d) in %s\n", signal_number, current_case);
    if (write(STDOUT_FILENO, text, (size_t)length) < 0) _exit(3);
    _exit(2);
}

/* ---------------------------------------------------------------- buffers between guard pages */

#define MAX_BUFFERS 64
#define CANARY 0xa5

static struct buffer {
    uint8_t *mapping, *first; /* whole mapping with its guards; first readable byte */
    size_t mapped, readable, begin, bytes;
} buffers[MAX_BUFFERS];
static int buffer_count;

static struct buffer map_between_guards(size_t bytes, enum check_place place, size_t offset) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct buffer b = {.bytes = bytes};
    b.readable = (bytes + offset + page - 1) / page * page;
    if (b.readable == 0) b.readable = page;
    b.mapped = b.readable + 2 * page;
    b.mapping = mmap(NULL, b.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b.first = b.mapping + page;
    if (b.mapping == MAP_FAILED || mprotect(b.first, b.readable, PROT_READ | PROT_WRITE)) {
        perror("checkkern: mmap");
        exit(3);
    }
    b.begin = place == AGAINST_START ? offset : b.readable - bytes - offset;
    memset(b.first, CANARY, b.readable);
    return b;
}

void *check_buffer(size_t bytes, enum check_place place, size_t offset) {
    if (buffer_count == MAX_BUFFERS) {
        fprintf(stderr, "checkkern: a case holds more than %d buffers\n", MAX_BUFFERS);
        exit(3);
    }
    struct buffer b = map_between_guards(bytes, place, offset);
    buffers[buffer_count++] = b;
    return b.first + b.begin;
}

static int canaries_intact(const struct buffer *b) {
    for (size_t i = 0; i < b->readable; i++)
        if ((i < b->begin || i >= b->begin + b->bytes) && b->first[i] != CANARY) return 0;
    return 1;
}

void check_release(void) {
    for (int i = 0; i < buffer_count; i++) {
        if (!canaries_intact(&buffers[i])) check_fail("bytes around buffer %d were written", i);
        munmap(buffers[i].mapping, buffers[i].mapped);
    }
    buffer_count = 0;
}

void *check_scratch(void) {
    static struct buffer scratch;
    if (!scratch.mapping) scratch = map_between_guards(STERNA_SCRATCH_BYTES, AGAINST_END, 0);
    return scratch.first + scratch.begin;
}

/* ---------------------------------------------------------------- comparisons */

void check_equal(const char *what, const void *got, const void *want, size_t count, size_t element) {
    const uint8_t *a = got, *b = want;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(a + i * element, b + i * element, element) == 0) continue;
        check_fail("%s differs from the reference first at element %zu of %zu", what, i, count);
        return;
    }
}

void check_near(const char *what, const float *got, const double *want, const double *bound,
                size_t bound_stride, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double limit = bound[i * bound_stride];
        if (fabs(got[i] - want[i]) <= limit) continue; /* a NaN fails */
        check_fail("%s[%zu] = %.9g, want %.9g within %.3g", what, i, got[i], want[i], limit);
        return;
    }
}

/* ---------------------------------------------------------------- test data (splitmix64) */

static uint64_t random_state = 1;

void check_seed(uint64_t seed) {
    random_state = seed;
}

uint64_t check_random(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int64_t check_range(int64_t low, int64_t high) {
    return low + (int64_t)(check_random() % (uint64_t)(high - low + 1));
}

float check_normal(void) {
    float sum = -6;
    for (int i = 0; i < 12; i++) sum += (float)(check_random() >> 40) * 0x1p-24f;
    return sum;
}

/* ---------------------------------------------------------------- timing */

/* Time of this thread alone: a kernel runs on one thread, and others on the machine shall not count. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double check_time(void (*body)(void *), void *argument, double seconds) {
    double best = INFINITY, begin = now();
    for (int calls = 0; calls < 3 || now() - begin < seconds; calls++) {
        double start = now();
        body(argument);
        best = fmin(best, now() - start);
    }
    return best;
}

void check_row(const char *kernel, const char *grid, const char *shape, int32_t tier, double work,
               double seconds, const char *unit, double ceiling) {
    double rate = work / seconds * 1e-9;
    printf("%-22s %-8s %-16s %-11s %10.2f %-6s", kernel, grid, shape, sterna_tier_name(tier), rate, unit);
    if (ceiling > 0) printf(" %5.1f %% of %.1f", 100 * rate / ceiling, ceiling);
    printf("\n");
    fflush(stdout);
}

struct probe {
    int32_t tier, kind;
    void *buffer;
    int64_t bytes, rounds;
    double work;
};

static void run_probe(void *argument) {
    struct probe *p = argument;
    if (sterna_probe(p->tier, p->kind, p->buffer, p->bytes, p->rounds, &p->work) != STERNA_OK) p->work = 0;
}

double check_ceiling(int32_t tier, int32_t probe) {
    static double measured[STERNA_TIERS][8];
    double *ceiling = &measured[tier][probe];
    if (*ceiling != 0) return *ceiling > 0 ? *ceiling : 0;
    int memory = probe == STERNA_PROBE_READ || probe == STERNA_PROBE_UPDATE;
    size_t bytes = memory ? (size_t)1 << 28 : 64;
    struct probe p = {tier, probe, aligned_alloc(64, bytes), (int64_t)bytes, memory ? 1 : 1 << 20, 0};
    memset(p.buffer, 1, bytes);
    double seconds = check_time(run_probe, &p, 0.5);
    free(p.buffer);
    *ceiling = p.work > 0 ? p.work / seconds * 1e-9 : -1;
    return *ceiling > 0 ? *ceiling : 0;
}

/* ---------------------------------------------------------------- main */

static const char USAGE[] =
    "usage: checkkern [--bench] [--family NAME] [--tier NAME] [--seed N] [--list] [--help]\n"
    "Checks every kernel of every tier that this CPU grants against the reference; --bench times them, --list names\n"
    "the families. Ends with 0 when all is right, 1 on failures, 2 on a fault, 3 when the system gives no memory, 64 on\n"
    "wrong use, 77 when the CPU does not grant the tier.\n";

static void print_usage(FILE *to) {
    fprintf(to, "%sTiers:", USAGE);
    for (int32_t tier = 0; tier < STERNA_TIERS; tier++) fprintf(to, " %s", sterna_tier_name(tier));
    fprintf(to, "\n");
}

/* What is wrong with the command line, and how it is used. */
static int wrong_use(const char *word, const char *fault) {
    fprintf(stderr, "checkkern: %s: %s\n", word, fault);
    print_usage(stderr);
    return 64;
}

/* STERNA_TIERS when there is no tier of that name. */
static int32_t tier_of_name(const char *name) {
    int32_t tier = 0;
    while (tier < STERNA_TIERS && strcmp(name, sterna_tier_name(tier)) != 0) tier++;
    return tier;
}

#define EXIT_SKIPPED 77

static void run_family(const check_family *family, const char *tier_name, int bench, uint64_t seed) {
    for (int32_t tier = 0; tier <= sterna_best_tier(); tier++) {
        if (tier_name && strcmp(tier_name, sterna_tier_name(tier)) != 0) continue;
        long cases_before = cases;
        family_failures = 0;
        check_seed(seed);
        if (bench) {
            family->bench(tier);
            check_release();
            continue;
        }
        family->check(tier);
        check_release();
        printf("%-10s %-11s %7ld cases, %ld failures%s\n", family->name, sterna_tier_name(tier), cases - cases_before,
               family_failures, family->by_reference && tier == STERNA_REFERENCE ? " (reference only: compared with itself)" : "");
        fflush(stdout);
    }
}

struct options {
    const char *family, *tier;
    uint64_t seed;
    int bench, list, help;
};

static int takes_value(const char *word) {
    return !strcmp(word, "--family") || !strcmp(word, "--tier") || !strcmp(word, "--seed");
}

/* 0, or what main returns. */
static int read_option(struct options *o, const char *word, const char *value) {
    char *end;
    if (!strcmp(word, "--bench")) o->bench = 1;
    else if (!strcmp(word, "--list")) o->list = 1;
    else if (!strcmp(word, "--help")) o->help = 1;
    else if (!takes_value(word)) return wrong_use(word, "no such option");
    else if (!value) return wrong_use(word, "needs a value");
    else if (!strcmp(word, "--family")) o->family = value;
    else if (!strcmp(word, "--tier")) o->tier = value;
    else {
        o->seed = strtoull(value, &end, 10);
        if (end == value || *end) return wrong_use(value, "no number");
    }
    return 0;
}

int main(int count, char **words) {
    struct options o = {.seed = 1};
    for (int i = 1; i < count; i += 1 + takes_value(words[i])) {
        int status = read_option(&o, words[i], words[i + 1]); /* behind the last word is a null */
        if (status) return status;
    }
    if (o.help) return print_usage(stdout), 0;
    if (o.tier && tier_of_name(o.tier) == STERNA_TIERS) return wrong_use(o.tier, "no such tier");
    if (o.tier && tier_of_name(o.tier) > sterna_best_tier())
        return printf("checkkern: skipped, this CPU does not grant tier '%s'\n", o.tier), EXIT_SKIPPED;
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    signal(SIGILL, on_fault);
    int found = 0;
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (o.family && strcmp(o.family, FAMILIES[i]->name) != 0) continue;
        found = 1;
        if (o.list) puts(FAMILIES[i]->name);
        else run_family(FAMILIES[i], o.tier, o.bench, o.seed);
    }
    if (!found) return wrong_use(o.family, "no such family");
    if (o.bench || o.list) return 0;
    printf("%ld cases, %ld failures\n", cases, failures);
    return failures || !cases ? 1 : 0;
}
