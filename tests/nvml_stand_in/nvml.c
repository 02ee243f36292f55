/* libnvidia-ml.so.1 as far as carbonq and its rivals call it, with the ABI of NVIDIA's own binding (nvidia-ml-py).
 *
 * What its GPUs do stands in a file that is mapped into memory (struct state; state.py lays out the same): NVML_STAND_IN
 * names it, else it is the file `state` beside this library. A GPU's true power is piecewise linear in time, so its true
 * energy up to any moment is exact; what a caller sees of it goes through a model of the sensors: the energy counter
 * stands still between its updates, and power is the mean over a window that ends at the last update. A counter with a
 * window of its own adds up, period by period, what that window shows: it knows no more than the sensor it is fed by.
 * Times are seconds of CLOCK_BOOTTIME, or of the state's own clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { GPUS = 16, SEGMENTS = 4096, PROCESSES = 16, SLICES = 7 };
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_DRIVER = 9,
       FUNCTION_NOT_FOUND = 13, LOST = 15, MISMATCH = 18 };
enum { ENERGY, FIELDS, FIELD_ENERGY, FIELD_AVERAGE, FIELD_INSTANT, POWER, LIMITS, UTILIZATION, RUNNING, SM_UTILIZATION,
       MIG, GPM, MEMORY, CALLS }; /* what can fail by itself; state.py's Call */

struct segment { double start_s, from_w, to_w, before_j; };
struct process { double start_s, end_s; uint64_t memory_b; uint32_t pid, sm_pct, gpu_instance, compute_instance; };
struct slice { char uuid[96]; uint64_t memory_b; uint32_t gpu_instance, compute_instance, sm_count, gpu_slices; };
struct sensor { double period_s, phase_s, window_s, gain; };
struct gpu {
    char uuid[96], name[96];
    uint64_t memory_b;
    double origin_s, length_s, total_j;        /* the trace's first moment; its length and energy where it repeats, else 0 */
    struct sensor counter, instant, average;
    double counter_zero_s, counter_base_j, reset_s; /* counted up from then on, onto the base, until a reset */
    double lost_s, found_s;                    /* off the bus in [lost_s, found_s) */
    double sm_period_s;                        /* how often processes' SM shares are sampled */
    uint32_t limit_mw, limit_min_mw, limit_max_mw, limit_default_mw, sm_count, power_is_average;
    int32_t errors[CALLS];
    uint32_t mig_mode, segments, processes, slices;
    struct slice slice[SLICES];
    struct process process[PROCESSES];
    struct segment segment[SEGMENTS];
};
struct state {
    uint64_t size;                             /* of this struct: guards against two layouts */
    double now_s;                              /* the virtual clock */
    double unix_minus_boot_s;                  /* what NVML's timestamps of unix time are ahead */
    uint64_t calls;                            /* made of any GPU so far */
    uint64_t version;                          /* moves whenever the GPUs are replaced */
    uint32_t is_virtual, gpus;
    int32_t init_error;
    uint32_t timestamps_of_update;             /* a field's timestamp: its sensor's last update, not the moment of the call */
    char driver[96];
    struct gpu gpu[GPUS];
};

/* A device handle: a GPU, or one of its slices (slice >= 0). Handles stay valid over a shutdown, as NVIDIA's do. */
struct device { int gpu, slice; };
static struct device devices[GPUS][SLICES + 1];
static struct state *state;
static int users;

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef union { double d; unsigned ui; unsigned long ul; unsigned long long ull; long long sll; int si; } value_t;
typedef struct { uint32_t id, scope; int64_t timestamp, latency_us; int type, result; value_t value; } field_t;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned pid; unsigned long long timestamp; unsigned sm, memory, encoder, decoder; } share_t;
typedef struct {
    unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
} attributes_t;
typedef struct { double at_s; int gpu, instance; } gpm_sample_t;
typedef struct { unsigned id; int result; double value; const char *short_name, *long_name, *unit; } gpm_metric_t;
typedef struct { unsigned version, count; gpm_sample_t *first, *second; gpm_metric_t metric[]; } gpm_metrics_t;
typedef struct { unsigned version, supported; } gpm_support_t;

/* ---- the truth */

static double now_s(void) {
    struct timespec t;
    if (state->is_virtual) return state->now_s;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double since_start_j(const struct gpu *g, double at_s) { /* within the trace, or held beyond its ends */
    uint32_t low = 0, high = g->segments;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (g->segment[middle].start_s <= at_s) low = middle; else high = middle;
    }
    const struct segment *s = &g->segment[low];
    double into_s = at_s - s->start_s;
    if (into_s < 0) return s->before_j + s->from_w * into_s;
    double length_s = (low + 1 < g->segments ? s[1].start_s : g->length_s) - s->start_s;
    double slope = length_s > 0 ? (s->to_w - s->from_w) / length_s : 0;
    return s->before_j + s->from_w * into_s + 0.5 * slope * into_s * into_s;
}

static double energy_j(const struct gpu *g, double at_s) {
    double into_s = at_s - g->origin_s;
    if (g->length_s <= 0) return since_start_j(g, into_s);
    double rounds = floor(into_s / g->length_s);
    return rounds * g->total_j + since_start_j(g, into_s - rounds * g->length_s);
}

/* ---- what the sensors make of it */

static double last_update_s(const struct sensor *s, double at_s) {
    if (s->period_s <= 0) return at_s;
    return floor((at_s - s->phase_s) / s->period_s) * s->period_s + s->phase_s;
}

static double mean_w(const struct gpu *g, const struct sensor *s, double end_s) {
    return s->gain * (energy_j(g, end_s) - energy_j(g, end_s - s->window_s)) / s->window_s;
}

static double counted_j(const struct gpu *g, double zero_s, double tick_s) {
    static struct { uint64_t version; double zero_s, tick_s, sum_j; } sums[GPUS]; /* of a counter that sees windows */
    const struct sensor *s = &g->counter;
    if (tick_s <= zero_s) return 0;
    if (s->window_s <= 0) return s->gain * (energy_j(g, tick_s) - energy_j(g, zero_s));
    int at = (int)(g - state->gpu);
    if (sums[at].version != state->version || sums[at].zero_s != zero_s || sums[at].tick_s > tick_s) {
        sums[at].version = state->version, sums[at].zero_s = zero_s;
        sums[at].tick_s = last_update_s(s, zero_s), sums[at].sum_j = 0;
    }
    while (sums[at].tick_s < tick_s - s->period_s / 2) {
        sums[at].tick_s += s->period_s;
        sums[at].sum_j += mean_w(g, s, sums[at].tick_s) * s->period_s;
    }
    return sums[at].sum_j;
}

static unsigned long long counter_mj(const struct gpu *g, double at_s) {
    double tick_s = last_update_s(&g->counter, at_s), zero_s = g->counter_zero_s, base_j = g->counter_base_j;
    if (at_s >= g->reset_s) { zero_s = g->reset_s; base_j = 0; }
    return (unsigned long long)((base_j + counted_j(g, zero_s, tick_s)) * 1000);
}

static unsigned power_mw(const struct gpu *g, const struct sensor *s, double at_s) {
    return (unsigned)lround(mean_w(g, s, last_update_s(s, at_s)) * 1000);
}

static double sm_pct(const struct gpu *g, double from_s, double to_s, int instance) { /* mean over time; -1: all */
    double sum = 0;
    for (uint32_t i = 0; i < g->processes; i++) {
        const struct process *p = &g->process[i];
        double seconds = fmin(p->end_s, to_s) - fmax(p->start_s, from_s);
        if (seconds > 0 && (instance < 0 || (int)p->gpu_instance == instance)) sum += p->sm_pct * seconds / (to_s - from_s);
    }
    return fmin(sum, 100);
}

/* ---- calls */

static int enter(const struct device *d, int call, struct gpu **g) {
    if (!users) return UNINITIALIZED;
    if (!d || d < &devices[0][0] || d > &devices[GPUS - 1][SLICES]) return INVALID;
    __atomic_add_fetch(&state->calls, 1, __ATOMIC_RELAXED);
    *g = &state->gpu[d->gpu];
    double at_s = now_s();
    if (at_s >= (*g)->lost_s && at_s < (*g)->found_s) return LOST;
    return call < CALLS ? (*g)->errors[call] : OK;
}
#define ENTER(d, call) struct gpu *g; { int failed = enter(d, call, &g); if (failed) return failed; }
#define WHOLE_GPU(d) if ((d)->slice >= 0) return NOT_SUPPORTED

static int text(const char *from, char *to, unsigned length) {
    if (strlen(from) >= length) return TOO_SMALL;
    strcpy(to, from);
    return OK;
}

static int map_state(void) {
    char beside[PATH_MAX];
    const char *path = getenv("NVML_STAND_IN");
    Dl_info self;
    if (!path && dladdr((void *)map_state, &self) && strrchr(self.dli_fname, '/')) {
        snprintf(beside, sizeof beside, "%.*s/state", (int)(strrchr(self.dli_fname, '/') - self.dli_fname), self.dli_fname);
        path = beside;
    }
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0) return NO_DRIVER;
    struct stat found;
    int fits = fstat(file, &found) == 0 && found.st_size == (off_t)sizeof(struct state);
    void *at = fits ? mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    close(file);
    if (at == MAP_FAILED) return MISMATCH;
    state = at;
    if (state->size == sizeof(struct state) && !state->init_error) return OK;
    int failed = state->init_error ? state->init_error : MISMATCH;
    munmap(at, sizeof(struct state));
    return failed;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int failed = users ? OK : map_state();
    if (failed) return failed;
    for (int i = 0; i < GPUS; i++) for (int j = 0; j <= SLICES; j++) devices[i][j] = (struct device){i, j - 1};
    users++;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) {
    if (!users) return UNINITIALIZED;
    if (!--users) munmap(state, sizeof *state);
    return OK;
}

const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case TOO_SMALL: return "Insufficient Size";
    case NO_DRIVER: return "Driver Not Loaded";
    case FUNCTION_NOT_FOUND: return "Function Not Found";
    case LOST: return "GPU is lost";
    case MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
int nvmlSystemGetDriverVersion(char *to, unsigned length) { return users ? text(state->driver, to, length) : UNINITIALIZED; }
int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!users) return UNINITIALIZED;
    *count = state->gpus;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **out) {
    if (!users) return UNINITIALIZED;
    if (index >= state->gpus) return INVALID;
    struct gpu *g;
    *out = &devices[index][0];
    return enter(*out, CALLS, &g);
}
int nvmlDeviceGetHandleByUUID(const char *uuid, struct device **out) {
    if (!users) return UNINITIALIZED;
    for (uint32_t i = 0; i < state->gpus; i++) {
        struct gpu *g = &state->gpu[i];
        if (!strcmp(uuid, g->uuid)) return nvmlDeviceGetHandleByIndex_v2(i, out);
        for (uint32_t j = 0; g->mig_mode && j < g->slices; j++)
            if (!strcmp(uuid, g->slice[j].uuid)) return *out = &devices[i][j + 1], OK;
    }
    return NOT_FOUND;
}
int nvmlDeviceGetIndex(struct device *d, unsigned *index) { ENTER(d, CALLS); (void)g; *index = (unsigned)d->gpu; return OK; }
int nvmlDeviceGetUUID(struct device *d, char *to, unsigned length) {
    ENTER(d, CALLS);
    return text(d->slice < 0 ? g->uuid : g->slice[d->slice].uuid, to, length);
}
int nvmlDeviceGetName(struct device *d, char *to, unsigned length) { ENTER(d, CALLS); return text(g->name, to, length); }
int nvmlDeviceGetMemoryInfo(struct device *d, memory_t *to) {
    ENTER(d, MEMORY);
    uint64_t total = d->slice < 0 ? g->memory_b : g->slice[d->slice].memory_b;
    *to = (memory_t){total, total, 0};
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(struct device *d, memory_v2_t *to) {
    memory_t found;
    int failed = nvmlDeviceGetMemoryInfo(d, &found);
    if (!failed) *to = (memory_v2_t){to->version, found.total, 0, found.free, found.used};
    return failed;
}

int nvmlDeviceGetTotalEnergyConsumption(struct device *d, unsigned long long *to_mj) {
    ENTER(d, ENERGY);
    WHOLE_GPU(d);
    *to_mj = counter_mj(g, now_s());
    return OK;
}
int nvmlDeviceGetPowerUsage(struct device *d, unsigned *to_mw) {
    ENTER(d, POWER);
    WHOLE_GPU(d);
    *to_mw = power_mw(g, g->power_is_average ? &g->average : &g->instant, now_s());
    return OK;
}
static void read_field(struct gpu *g, field_t *f, double at_s) {
    const struct sensor *sensor = f->id == 83 ? &g->counter : f->id == 185 ? &g->average : &g->instant;
    f->result = f->id == 83 ? g->errors[FIELD_ENERGY] : f->id == 185 ? g->errors[FIELD_AVERAGE]
              : f->id == 186 ? g->errors[FIELD_INSTANT] : NOT_SUPPORTED;
    double seen_s = state->timestamps_of_update ? last_update_s(sensor, at_s) : at_s;
    f->timestamp = (int64_t)((seen_s + state->unix_minus_boot_s) * 1e6);
    f->latency_us = 0;
    if (f->result) return;
    f->type = f->id == 83 ? 3 : 1; /* unsigned long long, unsigned int */
    if (f->id == 83) f->value.ull = counter_mj(g, at_s); else f->value.ui = power_mw(g, sensor, at_s);
}
int nvmlDeviceGetFieldValues(struct device *d, int count, field_t *fields) {
    ENTER(d, FIELDS);
    WHOLE_GPU(d);
    double at_s = now_s();
    for (int i = 0; i < count; i++) read_field(g, &fields[i], at_s);
    return OK;
}

int nvmlDeviceGetEnforcedPowerLimit(struct device *d, unsigned *to) { ENTER(d, LIMITS); WHOLE_GPU(d); *to = g->limit_mw; return OK; }
int nvmlDeviceGetPowerManagementLimit(struct device *d, unsigned *to) { return nvmlDeviceGetEnforcedPowerLimit(d, to); }
int nvmlDeviceGetPowerManagementDefaultLimit(struct device *d, unsigned *to) {
    ENTER(d, LIMITS);
    *to = g->limit_default_mw;
    return OK;
}
int nvmlDeviceGetPowerManagementLimitConstraints(struct device *d, unsigned *least, unsigned *most) {
    ENTER(d, LIMITS);
    WHOLE_GPU(d);
    *least = g->limit_min_mw, *most = g->limit_max_mw;
    return OK;
}

int nvmlDeviceGetUtilizationRates(struct device *d, utilization_t *to) {
    ENTER(d, UTILIZATION);
    WHOLE_GPU(d);
    double at_s = now_s();
    *to = (utilization_t){(unsigned)lround(sm_pct(g, at_s - 1, at_s, -1)), 0};
    return OK;
}
static int resides(const struct gpu *g, const struct device *d, const struct process *p, double at_s) {
    if (at_s < p->start_s || at_s >= p->end_s) return 0;
    if (d->slice < 0) return 1;
    const struct slice *s = &g->slice[d->slice];
    return p->gpu_instance == s->gpu_instance && p->compute_instance == s->compute_instance;
}
int nvmlDeviceGetComputeRunningProcesses_v3(struct device *d, unsigned *count, process_t *to) {
    ENTER(d, RUNNING);
    unsigned room = *count, found = 0;
    double at_s = now_s();
    for (uint32_t i = 0; i < g->processes; i++) {
        const struct process *p = &g->process[i];
        if (!resides(g, d, p, at_s)) continue;
        if (to && found < room) to[found] = (process_t){p->pid, p->memory_b, p->gpu_instance, p->compute_instance};
        found++;
    }
    *count = found;
    return found > room ? TOO_SMALL : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v2(struct device *d, unsigned *count, process_t *to) {
    return nvmlDeviceGetComputeRunningProcesses_v3(d, count, to);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(struct device *d, unsigned *count, process_t *to) {
    ENTER(d, RUNNING);
    (void)g, (void)to;
    *count = 0;
    return OK;
}
int nvmlDeviceGetProcessUtilization(struct device *d, share_t *to, unsigned *count, unsigned long long after_us) {
    ENTER(d, SM_UTILIZATION);
    WHOLE_GPU(d);
    if (g->mig_mode) return NOT_SUPPORTED;
    unsigned room = to ? *count : 0, found = 0;
    double sampled_s = floor(now_s() / g->sm_period_s) * g->sm_period_s;
    unsigned long long timestamp = (unsigned long long)((sampled_s + state->unix_minus_boot_s) * 1e6);
    for (uint32_t i = 0; i < g->processes && timestamp > after_us; i++) {
        const struct process *p = &g->process[i];
        if (!resides(g, d, p, sampled_s)) continue;
        if (found < room) to[found] = (share_t){p->pid, timestamp, p->sm_pct, 0, 0, 0};
        found++;
    }
    *count = found;
    return !found ? NOT_FOUND : found > room ? TOO_SMALL : OK;
}

int nvmlDeviceGetMigMode(struct device *d, unsigned *now, unsigned *pending) {
    ENTER(d, MIG);
    *now = *pending = g->mig_mode;
    return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(struct device *d, unsigned *to) { ENTER(d, MIG); (void)g; *to = SLICES; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(struct device *d, unsigned index, struct device **out) {
    ENTER(d, MIG);
    if (d->slice >= 0 || index >= SLICES) return INVALID;
    if (!g->mig_mode || index >= g->slices) return NOT_FOUND;
    *out = &devices[d->gpu][index + 1];
    return OK;
}
int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct device *d, struct device **out) {
    ENTER(d, MIG);
    (void)g;
    if (d->slice < 0) return INVALID;
    *out = &devices[d->gpu][0];
    return OK;
}
int nvmlDeviceIsMigDeviceHandle(struct device *d, unsigned *to) { ENTER(d, MIG); (void)g; *to = d->slice >= 0; return OK; }
int nvmlDeviceGetGpuInstanceId(struct device *d, unsigned *to) {
    ENTER(d, MIG);
    if (d->slice < 0) return NOT_SUPPORTED;
    *to = g->slice[d->slice].gpu_instance;
    return OK;
}
int nvmlDeviceGetComputeInstanceId(struct device *d, unsigned *to) {
    ENTER(d, MIG);
    if (d->slice < 0) return NOT_SUPPORTED;
    *to = g->slice[d->slice].compute_instance;
    return OK;
}
int nvmlDeviceGetAttributes_v2(struct device *d, attributes_t *to) {
    ENTER(d, MIG);
    if (d->slice < 0) return NOT_SUPPORTED;
    const struct slice *s = &g->slice[d->slice];
    *to = (attributes_t){.multiprocessors = s->sm_count, .gpu_slices = s->gpu_slices, .compute_slices = s->gpu_slices,
                         .memory_mb = s->memory_b >> 20};
    return OK;
}
int nvmlDeviceGetNumGpuCores(struct device *d, unsigned *to) { ENTER(d, CALLS); *to = g->sm_count * 64; return OK; }

int nvmlGpmQueryDeviceSupport(struct device *d, gpm_support_t *to) {
    ENTER(d, CALLS);
    to->supported = !g->errors[GPM];
    return OK;
}
int nvmlGpmSampleAlloc(gpm_sample_t **out) { *out = calloc(1, sizeof **out); return OK; }
int nvmlGpmSampleFree(gpm_sample_t *sample) { free(sample); return OK; }
static int gpm_sample(struct device *d, int instance, gpm_sample_t *to) {
    ENTER(d, GPM);
    (void)g;
    *to = (gpm_sample_t){now_s(), d->gpu, instance};
    return OK;
}
int nvmlGpmSampleGet(struct device *d, gpm_sample_t *to) { return gpm_sample(d, -1, to); }
int nvmlGpmMigSampleGet(struct device *d, unsigned instance, gpm_sample_t *to) { return gpm_sample(d, (int)instance, to); }
int nvmlGpmMetricsGet(gpm_metrics_t *m) {
    if (!users) return UNINITIALIZED;
    if (m->first->gpu != m->second->gpu || m->second->at_s <= m->first->at_s) return INVALID;
    for (unsigned i = 0; i < m->count; i++) { /* 1: graphics utilisation, 2: SM utilisation */
        gpm_metric_t *metric = &m->metric[i];
        metric->result = metric->id == 1 || metric->id == 2 ? OK : NOT_SUPPORTED;
        metric->value = sm_pct(&state->gpu[m->first->gpu], m->first->at_s, m->second->at_s, m->first->instance);
    }
    return OK;
}

int nvmlDeviceGetTemperature(struct device *d, int sensor, unsigned *to) {
    ENTER(d, CALLS);
    (void)g, (void)sensor;
    *to = 40;
    return OK;
}
int nvmlDeviceGetComputeMode(struct device *d, int *to) { ENTER(d, CALLS); (void)g; *to = 0; return OK; }
int nvmlDeviceGetArchitecture(struct device *d, unsigned *to) { ENTER(d, CALLS); (void)g; *to = 9; return OK; } /* Hopper */
