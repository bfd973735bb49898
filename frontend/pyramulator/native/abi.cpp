// The C ABI: catches everything, keeps the message.
#include <algorithm>
#include <cstring>
#include <new>

#include "engine.hpp"

using namespace pyramulator;

struct pyr_engine {
    Engine engine;
    std::string error;
};

namespace {

#ifndef PYRAMULATOR_BUILD
#define PYRAMULATOR_BUILD "unknown sources and flags"
#endif

template <typename Body>
int guarded(std::string &error, Body &&body) noexcept {
    try {
        return body();
    } catch (const Fault &fault) {
        try {
            error = fault.what();
        } catch (...) {
        }
        return fault.status;
    } catch (const std::bad_alloc &) {
        error.clear();
        return PYR_NO_MEMORY;
    } catch (const std::exception &other) {
        try {
            error = other.what();
        } catch (...) {
        }
        return PYR_INTERNAL;
    } catch (...) {
        return PYR_INTERNAL;
    }
}

constexpr int64_t kLongestSlice = int64_t{1} << 60; // the clock reaches its end

void given(const void *pointer, const char *what) {
    if (pointer == nullptr) throw Fault(PYR_MISUSE, std::string(what) + " must not be null");
}

} // namespace

extern "C" {

int pyr_abi_version(void) { return PYR_ABI_VERSION; }

const char *pyr_build_info(void) { return PYRAMULATOR_BUILD " g++ " __VERSION__; }

int pyr_create(const pyr_description *description, const int32_t *targets, int64_t n_targets,
               int log, int stalls, pyr_engine **out, char *message, int64_t message_size) {
    std::string error;
    const int status = guarded(error, [&] {
        given(out, "out");
        *out = nullptr;
        given(description, "description");
        if (n_targets < 0 || n_targets > 65536)
            throw Fault(PYR_BAD_STREAM,
                        "targets must be at most 65536, not " + std::to_string(n_targets));
        if (n_targets > 0) given(targets, "targets");
        *out = new pyr_engine{
            Engine(read_description(*description), targets, n_targets, log != 0, stalls != 0), {}};
        return PYR_OK;
    });
    if (message != nullptr && message_size > 0) {
        const size_t n = std::min<size_t>(error.size(), message_size - 1);
        std::memcpy(message, error.data(), n);
        message[n] = 0;
    }
    return status;
}

int pyr_add_stream(pyr_engine *engine, const void *records, int64_t n, int32_t window) {
    return guarded(engine->error, [&] {
        if (n < 0 || window < 0 || window > (1 << 20))
            throw Fault(PYR_BAD_STREAM,
                        "a fifo window must be 0 to 2^20, not " + std::to_string(window));
        if (n > 0) given(records, "records");
        engine->engine.add_stream(static_cast<const Record *>(records), n, window);
        return PYR_OK;
    });
}

int pyr_push_host(pyr_engine *engine, const pyr_host_request *, int64_t) {
    return guarded(engine->error, []() -> int {
        throw Fault(PYR_UNSUPPORTED,
                    "host requests (rules 11(a), 11(e) and 14) are reserved in this ABI version");
    });
}

// Only host requests complete one by one, and none can be pushed.
int64_t pyr_poll(pyr_engine *, pyr_completion *, int64_t) { return 0; }

int pyr_advance(pyr_engine *engine, int64_t until_tick, int64_t slice_ns) {
    return guarded(engine->error, [&] {
        const Tick until = until_tick < 0 ? kMaxTick : std::min<Tick>(until_tick, kMaxTick);
        return engine->engine.advance(until, std::min(slice_ns, kLongestSlice));
    });
}

void pyr_cancel(pyr_engine *engine) { engine->engine.cancel(); }

int pyr_summarise(pyr_engine *engine, pyr_summary *out) {
    return guarded(engine->error, [&] {
        Engine &run = engine->engine;
        if (!run.finished())
            throw Fault(PYR_MISUSE, "the run must be finished before its result is taken");
        given(out, "out");
        out->ticks = run.end();
        out->n_streams = run.streams();
        out->n_commands = static_cast<int32_t>(run.device().commands.size());
        out->n_rows = static_cast<int32_t>(run.device().rows.size());
        out->n_residency = run.residency_nodes();
        out->residency_level = run.device().residency_level();
        return PYR_OK;
    });
}

int pyr_result(pyr_engine *engine, int64_t *counts, int64_t *classes, int64_t *slot_to,
               int64_t *rows, int64_t *residency) {
    return guarded(engine->error, [&] {
        Engine &run = engine->engine;
        if (!run.finished())
            throw Fault(PYR_MISUSE, "the run must be finished before its result is taken");
        given(counts, "counts");
        given(residency, "residency");
        std::copy(run.counts().begin(), run.counts().end(), counts);
        if (run.ledger().wanted() && run.streams() > 0) {
            given(classes, "classes");
            given(slot_to, "slot_to");
            if (!run.device().rows.empty()) given(rows, "rows");
            run.ledger().write(static_cast<int>(run.device().rows.size()), classes, slot_to, rows);
        }
        run.banks().residency(run.end(), residency);
        return PYR_OK;
    });
}

int64_t pyr_log_size(pyr_engine *engine) {
    return static_cast<int64_t>(engine->engine.log().size());
}

int pyr_take_log(pyr_engine *engine, void *out, int64_t n) {
    return guarded(engine->error, [&] {
        std::vector<LogRecord> &log = engine->engine.log();
        if (n < 0 || n > static_cast<int64_t>(log.size()))
            throw Fault(PYR_MISUSE, "the log has fewer records");
        if (n > 0) given(out, "out");
        if (n > 0) std::memcpy(out, log.data(), n * sizeof(LogRecord));
        log.erase(log.begin(), log.begin() + n);
        return PYR_OK;
    });
}

const char *pyr_error(pyr_engine *engine) { return engine->error.c_str(); }

void pyr_destroy(pyr_engine *engine) { delete engine; }

} // extern "C"
