// Runs of a case: the calls, and what must hold of every result.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "abi_case.hpp"

#ifdef WITH_REPLAY // the bridge has a second way to run
#include "bridge.h"
#endif

namespace pyramulator_tests {
namespace {

constexpr int64_t kSliceNs = 100'000;
// Then the run is cancelled: an input must end quickly, and fit the memory.
constexpr int kMaxSlices = 10;
constexpr int64_t kLongLog = 1 << 20;

int64_t sum(const int64_t *from, int64_t n, int64_t step = 1) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; ++i)
        if (__builtin_add_overflow(total, from[i * step], &total)) broken("a sum of counters overflows");
    return total;
}

class Run {
public:
    Run(const Case &given, bool log, bool stalls) : case_(given), log_wanted_(log) {
        char message[96];
        std::memset(message, 'x', sizeof message);
        int status = create(stalls, message);
        stalls_wanted_ = stalls && status != PYR_UNSUPPORTED;  // the bridge has none
        if (stalls && !stalls_wanted_) status = create(false, message);
        known(status);
        must((status == PYR_OK) == (engine_ != nullptr), "create: a handle if and only if PYR_OK");
        must(std::memchr(message, 0, sizeof message) != nullptr, "create: the message must be terminated");
        if (status < 0 && status != PYR_NO_MEMORY) must(message[0] != 0, "create: a failure must have a message");
    }
    ~Run() {
        if (engine_ != nullptr) pyr_destroy(engine_);
    }
    Run(const Run &) = delete;
    Run &operator=(const Run &) = delete;

    bool created() const { return engine_ != nullptr; }
    pyr_engine *engine() { return engine_; }

    void add_streams() {
        for (size_t i = 0; i < case_.streams.size(); ++i) add(i);
    }

    int add(size_t i) {
        const auto &records = case_.streams[i];
        const int status = known(pyr_add_stream(engine_, records.data(), static_cast<int64_t>(records.size()),
                                                case_.windows[i]));
        if (status == PYR_OK) ++added_;
        return status;
    }

    int advance(int64_t until, int64_t slice) { return outcome.status = known(pyr_advance(engine_, until, slice)); }

    void to_the_end() {
        for (int i = 0; i < kMaxSlices && pyr_log_size(engine_) < kLongLog; ++i)
            if (advance(-1, kSliceNs) != PYR_PAUSED) return;
        pyr_cancel(engine_);
        must(advance(-1, kSliceNs) == PYR_CANCELLED, "a cancelled run must say so");
    }

    void take_log(int64_t n) {
        const int64_t size = pyr_log_size(engine_);
        must(size >= 0, "the log's size must not be negative");
        if (!log_wanted_) must(size == 0, "no log was asked for");
        const size_t before = outcome.log.size();
        const bool fits = n >= 0 && n <= size;
        outcome.log.resize(before + static_cast<size_t>(fits ? n : 0));
        const int status = known(pyr_take_log(engine_, outcome.log.data() + before, n));
        must(status == (fits ? PYR_OK : PYR_MISUSE), "take_log: as many records as there are");
    }

    void read_result() {
        const int status = known(pyr_summarise(engine_, &outcome.summary));
        must((status == PYR_OK) == (outcome.status == PYR_FINISHED), "a result if and only if the run is finished");
        if (status != PYR_OK) return;
        const pyr_summary &s = outcome.summary;
        must(s.n_streams == added_, "as many streams as were added");
        outcome.counts.assign(s.n_commands, 0);
        outcome.classes.assign(size_t{7} * s.n_streams, 0);
        outcome.slot_to.assign(size_t(s.n_streams) * (s.n_streams + 1), 0);
        outcome.rows.assign(size_t(s.n_streams) * s.n_rows, 0);
        outcome.residency.assign(size_t{4} * s.n_residency, 0);
        must(known(pyr_result(engine_, outcome.counts.data(), outcome.classes.data(), outcome.slot_to.data(),
                              outcome.rows.data(), outcome.residency.data())) == PYR_OK,
             "a finished run has a result");
        take_log(pyr_log_size(engine_));
        check_sums();
    }

    Outcome outcome;

private:
    int create(bool stalls, char (&message)[96]) {
        return pyr_create(&case_.description, case_.targets.data(), case_.n_targets, log_wanted_, stalls, &engine_,
                          message, sizeof message);
    }

    int known(int status) {
        if (status < PYR_MISUSE || status > PYR_PAUSED)
            broken("status " + std::to_string(status) + ": " + (engine_ != nullptr ? pyr_error(engine_) : "no engine"));
        if (status < 0 && engine_ != nullptr) must(pyr_error(engine_) != nullptr, "an error has a message");
        return status;
    }

    void check_sums() const {
        const pyr_summary &s = outcome.summary;
        must(s.ticks >= 0, "ticks must not be negative");
        for (int64_t n : outcome.counts) must(n >= 0, "counts must not be negative");
        if (log_wanted_) {
            must(sum(outcome.counts.data(), s.n_commands) == static_cast<int64_t>(outcome.log.size()),
                 "counts must be those of the log");
            int64_t before = 1;
            for (const LogRecord &record : outcome.log) {
                must(record.tick >= before && record.tick <= s.ticks, "the log must be in order, within 1 to ticks");
                must(record.command >= 0 && record.command < s.n_commands, "the log must name commands");
                must(record.source >= -1 && record.source < s.n_streams, "the log must name streams");
                before = record.tick;
            }
        }
        for (int32_t node = 0; node < s.n_residency; ++node) {
            const int64_t *of = outcome.residency.data() + node;
            must(sum(of, 3, s.n_residency) == s.ticks, "residency must sum to ticks");
            for (int state = 0; state < 4; ++state)
                must(of[int64_t{state} * s.n_residency] >= 0, "residency must not be negative");
        }
        if (!stalls_wanted_) return;
        for (int32_t i = 0; i < s.n_streams; ++i) {
            const int64_t *classes = outcome.classes.data() + int64_t{7} * i;
            const int64_t *rows = outcome.rows.data() + int64_t{s.n_rows} * i;
            const int64_t *slots = outcome.slot_to.data() + int64_t{s.n_streams + 1} * i;
            for (int k = 0; k < 7; ++k) must(classes[k] >= 0, "stalls must not be negative");
            for (int k = 0; k < s.n_rows; ++k) must(rows[k] >= 0, "stalls by row must not be negative");
            must(sum(slots, s.n_streams + 1) == classes[6], "the slot class must be the sum of slot_to");
            must(sum(classes, 7) + sum(rows, s.n_rows) == s.ticks, "a stream's stalls must sum to ticks");
        }
    }

    const Case &case_;
    const bool log_wanted_;
    bool stalls_wanted_ = false;
    pyr_engine *engine_ = nullptr;
    int added_ = 0;
};

// Calls in whatever order the bytes say, wrong ones among them; then to the end.
void in_pieces(Run &run, Bytes &bytes, const Case &given) {
    int64_t tick = 0;
    bool cancelled = false;
    const int calls = static_cast<int>(bytes.between(0, 24));
    for (int i = 0; i < calls; ++i) {
        switch (bytes.byte() % 12) {
        case 0: run.take_log(bytes.between(-1, 8)); break;
        case 1: run.take_log(pyr_log_size(run.engine())); break;
        case 2: {
            pyr_summary summary;
            const int status = pyr_summarise(run.engine(), &summary);
            must(status == PYR_OK || status == PYR_MISUSE, "summarise: PYR_OK or PYR_MISUSE");
            break;
        }
        case 3: {
            const pyr_host_request request{bytes.between(INT64_MIN, INT64_MAX), bytes.byte(), bytes.byte()};
            must(pyr_push_host(run.engine(), &request, tick) == PYR_UNSUPPORTED, "host requests are reserved");
            break;
        }
        case 4: {
            pyr_completion completions[2];
            must(pyr_poll(run.engine(), completions, 2) == 0, "nothing of the host completes");
            break;
        }
        case 5:
            if (!given.streams.empty() && i > 2) {
                const int status = run.add(static_cast<size_t>(bytes.between(0, int64_t(given.streams.size()) - 1)));
                must(status != PYR_OK || tick == 0, "a stream must not be added to a run under way");
            }
            break;
        case 6:
            if (bytes.chance(24)) {
                pyr_cancel(run.engine());
                cancelled = true;
            }
            break;
        case 7:
            if (bytes.chance(32)) run.advance(bytes.between(0, INT64_MAX), kSliceNs);
            break;
        default:
            if (pyr_log_size(run.engine()) >= kLongLog) break;
            tick += bytes.between(0, 60);
            run.advance(tick, bytes.chance(32) ? INT64_MAX : kSliceNs);
            tick += 1;  // 0 means: never advanced
        }
    }
    if (cancelled) {
        const int status = run.advance(-1, kSliceNs);  // finished: nothing was left to do
        must(status == PYR_CANCELLED || status == PYR_MISUSE || status == PYR_FINISHED,
             "a cancelled run must not go on");
    } else {
        run.to_the_end();
    }
    run.read_result();
}

bool equal(const Outcome &a, const Outcome &b) {
    return a.summary.ticks == b.summary.ticks && a.counts == b.counts && a.classes == b.classes &&
           a.slot_to == b.slot_to && a.rows == b.rows && a.residency == b.residency && a.log.size() == b.log.size() &&
           (a.log.empty() || std::memcmp(a.log.data(), b.log.data(), a.log.size() * sizeof(LogRecord)) == 0);
}

}  // namespace

void broken(const std::string &reason) {
    std::fprintf(stderr, "FAULT: %s\n", reason.c_str());
    std::abort();
}

void must(bool holds, const char *reason) {
    if (!holds) broken(reason);
}

int run_case(const uint8_t *data, size_t size) {
    Bytes bytes(data, size);
    Case given;
    decode(bytes, given);
    const bool log = bytes.chance(200), stalls = bytes.chance(200);
    Run pieces(given, log, stalls);
    if (!pieces.created()) return 0;
    pieces.add_streams();
    in_pieces(pieces, bytes, given);
    Run whole(given, log, stalls);
    whole.add_streams();
#ifdef WITH_REPLAY
    must(pyr_bridge_replay(whole.engine(), 1) == PYR_OK, "replay is chosen before the run");
#endif
    whole.to_the_end();
    whole.read_result();
    const bool both = pieces.outcome.status == PYR_FINISHED && whole.outcome.status == PYR_FINISHED;
    if (both && pieces.outcome.summary.n_streams == whole.outcome.summary.n_streams)
        must(equal(pieces.outcome, whole.outcome), "a run in pieces must give what a run in one gives");
    return int{pieces.outcome.status == PYR_FINISHED} + int{whole.outcome.status == PYR_FINISHED};
}

}  // namespace pyramulator_tests
