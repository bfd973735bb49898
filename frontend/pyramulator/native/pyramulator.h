/* The C ABI of the embedded engine. Every function returns a status; none lets an exception out.
 * What lies between the two cdef marks is read by frontend/pyramulator/_build.py as it stands. */
#ifndef PYRAMULATOR_H
#define PYRAMULATOR_H

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* cdef begin */

enum {
    PYR_OK = 0,
    PYR_FINISHED = 1,         /* advance: the run has reached its end */
    PYR_PAUSED = 2,           /* advance: the time slice is over; call again */
    PYR_BAD_DESCRIPTION = -1,
    PYR_BAD_STREAM = -2,
    PYR_DEADLOCK = -3,
    PYR_CANCELLED = -4,
    PYR_UNSUPPORTED = -5,
    PYR_NO_MEMORY = -6,
    PYR_MISUSE = -7,          /* a call out of order, or a handle whose run has failed */
    PYR_INTERNAL = -8
};

typedef struct {
    const char *name;
    int32_t scope;            /* level index; Row and Column count as the deepest target level */
    int32_t slot;             /* 0 row, 1 column */
    int32_t cycles;
    int32_t row_use;          /* 0 none, 1 access, 2 open, 3 close, 4 all closed */
    int32_t opens;            /* command index or -1 */
    int32_t closes;           /* command index or -1 */
    int32_t falling_edge;
    int32_t auto_precharge;
    int32_t refresh;
    int64_t completion;       /* ticks */
} pyr_command;

typedef struct {
    int32_t level;
    int32_t window;
    int32_t sibling;
    int32_t n_preceding;
    int32_t n_following;
    const int32_t *preceding;
    const int32_t *following;
    int64_t latency;          /* ticks */
} pyr_row;

typedef struct {
    int32_t n_levels;
    int32_t n_commands;
    int32_t n_rows;
    int32_t bus;              /* 0 single, 1 row and column, 2 half clock */
    int32_t refresh_command;  /* -1: no refresh */
    int32_t refresh_scope;    /* level index */
    int32_t refresh_in_turn;  /* level index: in each of its nodes the scope's nodes take turns */
    int64_t refresh_interval; /* ticks */
    const char *const *level_names;
    const int32_t *sizes;
    const pyr_command *commands;
    const pyr_row *rows;
} pyr_description;

typedef struct {
    int64_t address;
    int32_t is_write;
    int32_t tag;
} pyr_host_request;

typedef struct {
    int64_t tick;
    int32_t tag;
    int32_t status;
} pyr_completion;

typedef struct {
    int64_t ticks;            /* E of rule 16 */
    int32_t n_streams;
    int32_t n_commands;
    int32_t n_rows;
    int32_t n_residency;      /* nodes of the residency level */
    int32_t residency_level;
} pyr_summary;

typedef struct pyr_engine pyr_engine;

int pyr_abi_version(void);
const char *pyr_build_info(void);

/* targets: n_targets x (n_levels - 2), -1 matches all children. message: why it failed. */
int pyr_create(const pyr_description *description, const int32_t *targets, int64_t n_targets,
               int log, int stalls, pyr_engine **out, char *message, int64_t message_size);

/* records: n records of 16 bytes that stay where they are until destroy. window 0: an ordinary
 * stream; > 0: a fifo stream (rule 15). */
int pyr_add_stream(pyr_engine *engine, const void *records, int64_t n, int32_t window);

int pyr_push_host(pyr_engine *engine, const pyr_host_request *request, int64_t tick);
int64_t pyr_poll(pyr_engine *engine, pyr_completion *completions, int64_t max);

/* Runs all ticks <= until_tick (negative: to the end), or until slice_ns of wall time are over
 * (0: no limit). */
int pyr_advance(pyr_engine *engine, int64_t until_tick, int64_t slice_ns);

/* The only call that another thread may make while advance runs. */
void pyr_cancel(pyr_engine *engine);

int pyr_summarise(pyr_engine *engine, pyr_summary *out);
/* counts: n_commands. classes: n_streams x 7. slot_to: n_streams x (n_streams + 1).
 * rows: n_streams x n_rows. residency: 4 x n_residency (active, precharged, refreshing, open-bank
 * ticks). */
int pyr_result(pyr_engine *engine, int64_t *counts, int64_t *classes, int64_t *slot_to,
               int64_t *rows, int64_t *residency);

int64_t pyr_log_size(pyr_engine *engine);
/* Moves the first n records of 48 bytes of the log to out. */
int pyr_take_log(pyr_engine *engine, void *out, int64_t n);

const char *pyr_error(pyr_engine *engine);
void pyr_destroy(pyr_engine *engine);

/* cdef end */

#define PYR_ABI_VERSION 2

#if defined(__cplusplus)
}
#endif

#endif
