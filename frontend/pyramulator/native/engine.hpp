// The channel's controller: who issues what in which tick (docs/engine-rules.md).
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>

#include "banks.hpp"
#include "program.hpp"
#include "stalls.hpp"

namespace pyramulator {

struct LogRecord {
    int64_t tick;
    int32_t command;
    int32_t source;
    int32_t address[8];
};
static_assert(sizeof(LogRecord) == 48);

class Engine {
public:
    Engine(Device device, const int32_t *targets, int64_t n_targets, bool log, bool stalls);

    void add_stream(const Record *records, int64_t n, int32_t window);

    // Runs all ticks <= until. Returns PYR_FINISHED, PYR_PAUSED (slice over) or PYR_OK.
    int advance(Tick until, int64_t slice_ns);
    void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

    bool finished() const { return finished_; }
    Tick end() const { return end_; }
    int streams() const { return static_cast<int>(streams_.size()); }
    const Device &device() const { return device_; }
    const std::vector<int64_t> &counts() const { return counts_; }
    const Ledger &ledger() const { return *ledger_; }
    Banks &banks() { return *banks_; }
    int residency_nodes() const { return tree_.nodes(device_.residency_level()); }
    std::vector<LogRecord> &log() { return log_; }

private:
    struct Stream {
        Cursor cursor;
        int window;      // 0: ordinary
        int queued;      // requests in the FIFO
        Item next;       // fifo only: what the cursor stands on
        Tick enter_from; // fifo only: first tick that `next` may enter the FIFO
        int barrier;     // index of the barrier that it waits at, -1 for none
        bool done;
        std::vector<int32_t> barrier_ids;
    };
    struct Barrier {
        int32_t id;
        std::vector<int> participants;
        size_t arrived = 0;
        Tick latest = 0;
    };
    struct Entry {  // of the priority FIFO
        int stream; // or kRefreshSource
        int32_t operation;
        int32_t row, column;
        Tick entered;
    };
    struct Choice {
        Tick tick = kForever;
        uint64_t priority = ~uint64_t{0};
        int head = -1;

        void offer(Tick at, uint64_t order, int which) {
            if (at > tick || (at == tick && order > priority)) return;
            tick = at;
            priority = order;
            head = which;
        }
    };

    // engine.cpp: the loop
    void start();
    void step(Tick tick);
    void issue(int i, Tick tick);
    void issue_plain(int i, const Operation &op, int32_t number, Tick tick);
    void repeat_alone(int i, const Operation &op, int32_t number, Tick tick);
    void issue_other(int i, const Operation &op, int32_t number, Tick tick);
    void record(const Head &head, const Operation &op, int i, Tick tick);
    void update_others(int i, const Operation &op, int32_t number, Tick tick, bool holders_changed);
    void consider(const Head &head, int i, Choice &row, Choice &column) const;
    void choose(Tick row_from, Tick column_from);
    void finish();
    bool slice_is_over() const;

    // requests.cpp: streams, barriers and the FIFO
    void present(int i, int32_t operation, int32_t row, int32_t column, Tick visible);
    void resolve(Head &head) const;
    void recheck(Head &head, int i);
    bool held_by_another(const Head &head, int i) const;
    bool excluded_by_refresh(const Head &head, int i) const;
    void next_request(int i, Tick tick, Tick completed);
    void leave(int i, Item item, Tick arrival);
    void arrive(int i, int32_t id, Tick tick);
    void open_barriers();
    void proceed(int i, Tick opened);
    void activate(int i);
    void deactivate(int i);

    void arrivals(Tick tick);
    void refill(Tick tick);
    void schedule_refill();
    void pop_front(Tick tick);
    void front_changed(Tick tick);
    void recheck_all();
    [[noreturn]] void deadlock() const;
    std::string describe(int i) const;

    const Device device_;
    const Tree tree_;
    Targets distinct_;
    Timing timing_;
    OperationTable table_;
    const bool log_wanted_, stalls_wanted_;
    std::atomic<bool> cancelled_{false};
    bool started_ = false, finished_ = false, failed_ = false;

    std::vector<Stream> streams_;
    std::vector<Head> heads_; // one a stream, then that of a refresh at the FIFO's front
    std::vector<int> active_; // heads that have a request
    std::vector<Barrier> barriers_;
    std::vector<std::pair<int, Tick>> opening_; // barriers to open
    std::deque<Entry> fifo_;
    std::vector<int32_t> queued_refreshes_;   // operations of the refreshes in the FIFO
    std::vector<int32_t> refresh_operations_; // by node
    size_t refresh_turns_ = 1, refresh_turn_ = 0; // nodes that take turns, and whose turn is next
    int holders_ = 0;

    CommandBus bus_;
    std::unique_ptr<Banks> banks_;
    std::unique_ptr<Ledger> ledger_;
    std::vector<int64_t> counts_;
    std::vector<LogRecord> log_;

    Choice row_, column_;                 // who issues next in each slot
    Tick row_from_ = 1, column_from_ = 1; // first ticks whose slots are still to be given out
    Tick refresh_due_ = kForever, refill_due_ = kForever;
    Tick end_ = 0;
    Tick until_ = 0;         // of the advance that runs
    int running_ = 0;        // streams that are not done
    int idle_refreshes_ = 0; // arrivals of refreshes since a stream could last issue
    uint32_t countdown_ = 0;
    std::chrono::steady_clock::time_point slice_end_;
};

} // namespace pyramulator
