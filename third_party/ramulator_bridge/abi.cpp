// The C ABI of pyramulator.h over the controller. No exception leaves it.
#pragma GCC visibility push(default)
#include "bridge.h"
#pragma GCC visibility pop

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "controller.hpp"

using namespace ramulator_bridge;

struct pyr_engine {
    PimController controller;
    std::string error;
};

namespace {

#ifndef RAMULATOR_BRIDGE_BUILD
#define RAMULATOR_BRIDGE_BUILD "unknown sources"
#endif

constexpr int64_t kMostTargets = 65536;  // a record names one by 16 bits

template <typename Body>
int guarded(std::string &error, Body &&body) noexcept {
    try {
        try {
            return body();
        } catch (const Fault &fault) {
            error = fault.what();
            return fault.status;
        } catch (const std::bad_alloc &) {
            error.clear();
            return PYR_NO_MEMORY;
        } catch (const std::exception &other) {
            error = std::string("Ramulator: ") + other.what();
            return PYR_INTERNAL;
        }
    } catch (...) {  // no memory for the message either
        return PYR_INTERNAL;
    }
}

void must_be_finished(const PimController &controller) {
    if (!controller.finished()) throw Fault(PYR_MISUSE, "the run must be finished before its result is taken");
}

void given(const void *pointer, const char *what) {
    if (pointer == nullptr) throw Fault(PYR_MISUSE, std::string(what) + " must not be null");
}

// Ramulator's objects enter themselves into registries that it does not lock.
std::mutex g_registries;

constexpr int64_t kLongestSlice = int64_t{1} << 60;  // the clock reaches its end

}  // namespace

extern "C" {

int pyr_abi_version(void) { return PYR_ABI_VERSION; }

const char *pyr_build_info(void) { return RAMULATOR_BRIDGE_BUILD " g++ " __VERSION__; }

int pyr_create(const pyr_description *description, const int32_t *targets, int64_t n_targets, int log, int stalls,
               pyr_engine **out, char *message, int64_t message_size) {
    std::string error;
    const int status = guarded(error, [&] {
        given(out, "out");
        *out = nullptr;
        given(description, "description");
        if (stalls != 0) throw Fault(PYR_UNSUPPORTED, "Ramulator's device does not say what a stream waited for");
        if (n_targets < 0 || n_targets > kMostTargets)
            throw Fault(PYR_BAD_STREAM, "targets must be at most 65536, not " + std::to_string(n_targets));
        if (n_targets > 0) given(targets, "targets");
        const std::lock_guard<std::mutex> alone(g_registries);
        *out = new pyr_engine{PimController(*description, targets, n_targets, log != 0), {}};
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
            throw Fault(PYR_BAD_STREAM, "a fifo window must be 0 to 2^20, not " + std::to_string(window));
        if (n > 0) given(records, "records");
        engine->controller.add_stream(static_cast<const Record *>(records), n, window);
        return PYR_OK;
    });
}

int pyr_bridge_replay(pyr_engine *engine, int replay) {
    return guarded(engine->error, [&] {
        engine->controller.set_replay(replay != 0);
        return PYR_OK;
    });
}

int pyr_push_host(pyr_engine *engine, const pyr_host_request *, int64_t) {
    return guarded(engine->error, []() -> int {
        throw Fault(PYR_UNSUPPORTED, "host requests (rules 11(a), 11(e) and 14) are reserved in this ABI version");
    });
}

int64_t pyr_poll(pyr_engine *, pyr_completion *, int64_t) { return 0; }

int pyr_advance(pyr_engine *engine, int64_t until_tick, int64_t slice_ns) {
    return guarded(engine->error, [&] {
        const Tick until = until_tick < 0 ? kLastTick : std::min<Tick>(until_tick, kLastTick);
        return engine->controller.advance(until, std::min(slice_ns, kLongestSlice));
    });
}

void pyr_cancel(pyr_engine *engine) { engine->controller.cancel(); }

int pyr_summarise(pyr_engine *engine, pyr_summary *out) {
    return guarded(engine->error, [&] {
        const PimController &run = engine->controller;
        must_be_finished(run);
        given(out, "out");
        *out = {run.end(),
                run.streams(),
                static_cast<int32_t>(run.standard().commands.size()),
                run.standard().n_rows,
                run.residency().nodes(),
                run.standard().residency_level()};
        return PYR_OK;
    });
}

// classes, slot_to and rows stay as they are: there are no stalls to write.
int pyr_result(pyr_engine *engine, int64_t *counts, int64_t *, int64_t *, int64_t *, int64_t *residency) {
    return guarded(engine->error, [&] {
        const PimController &run = engine->controller;
        must_be_finished(run);
        given(counts, "counts");
        given(residency, "residency");
        std::copy(run.counts().begin(), run.counts().end(), counts);
        run.residency().write(run.end(), residency);
        return PYR_OK;
    });
}

int64_t pyr_log_size(pyr_engine *engine) { return static_cast<int64_t>(engine->controller.log().size()); }

int pyr_take_log(pyr_engine *engine, void *out, int64_t n) {
    return guarded(engine->error, [&] {
        std::vector<LogRecord> &log = engine->controller.log();
        if (n < 0 || n > static_cast<int64_t>(log.size())) throw Fault(PYR_MISUSE, "the log has fewer records");
        if (n > 0) given(out, "out");
        if (n > 0) std::memcpy(out, log.data(), n * sizeof(LogRecord));
        log.erase(log.begin(), log.begin() + n);
        return PYR_OK;
    });
}

const char *pyr_error(pyr_engine *engine) { return engine->error.c_str(); }

void pyr_destroy(pyr_engine *engine) {
    const std::lock_guard<std::mutex> alone(g_registries);
    delete engine;
}

}  // extern "C"
