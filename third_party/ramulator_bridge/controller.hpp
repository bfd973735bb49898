// A controller of Ramulator's kind that issues PIM streams to docs/engine-rules.md: tick by tick, or
// in replay, which passes over the ticks at which nothing can happen.
//
// Ramulator's DRAMDevice says when a command may issue, and keeps the banks' rows. This controller
// decides what to issue: streams and barriers (7, 8), holds (9), refresh (10), the order of
// candidates (11), slots (12), fifo streams (15), the end (16) and deadlocks (18). Numbers in
// comments are the rules of that page. The stock read and write queues of its base are not used yet.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "books.hpp"
#include "ramulator/controller/controller_base.h"
#include "records.hpp"

namespace ramulator_bridge {

constexpr Tick kLastTick = Tick{1} << 45;

class PimController final : public Ramulator::ControllerBase {
public:
    // targets: n_targets of one number a target level. Throws Fault(PYR_BAD_DESCRIPTION).
    PimController(const pyr_description &description, const int32_t *targets, int64_t n_targets, bool log);

    // Throws Fault(PYR_BAD_STREAM). The records stay where they are while the controller lives.
    void add_stream(const Record *records, int64_t n, int window);

    // Throws Fault(PYR_MISUSE) after the first advance.
    void set_replay(bool replay);

    // Ticks to `until`, to the end or until the slice is over. Returns PYR_OK, PYR_FINISHED or
    // PYR_PAUSED. Throws Fault(PYR_DEADLOCK), Fault(PYR_CANCELLED); Fault(PYR_UNSUPPORTED) at kLastTick.
    int advance(Tick until, int64_t slice_ns);
    void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

    bool finished() const { return finished_; }
    Tick end() const { return end_; }
    int streams() const { return static_cast<int>(streams_.size()); }
    const Standard &standard() const { return standard_; }
    const std::vector<int64_t> &counts() const { return counts_; }
    const Residency &residency() const { return *residency_; }
    std::vector<LogRecord> &log() { return log_; }

    void init() override;
    void tick() override;
    std::string get_name() const override { return "PimStreams"; }
    std::string get_ifce_name() const override { return Ramulator::IController::get_name(); }

private:
    // What a stream, or the refresh at the FIFO's front, asks for.
    struct Head {
        bool present = false;  // it has a request, visible now or later
        int request = kNone;   // operation of the final
        int32_t row = 0, column = 0;
        Tick visible = 0;
        bool holds = false;    // rule 9
        Tick opened = 0;       // where it holds
        Tick issued = 0;       // tick of its last command
        // assess() finds these; good for as long as `assessed` is the controller's epoch
        uint64_t assessed = 0;
        int need = kNone;      // operation that it needs next; kNone: rule 6 has none
        bool held = false;     // by another (9)
        bool excluded = false;  // by a refresh in the FIFO (11(d))
        bool waits_behind = false;  // in the FIFO (15)
        Tick not_before = 0;   // replay: the device allows `need` no earlier; it may be later by now
        bool blocked() const { return need == kNone || held || excluded || waits_behind; }
    };
    struct Stream {
        Walk walk;
        int window;              // 0: ordinary
        int queued = 0;          // requests in the FIFO
        Item next = Item::End;   // fifo streams: what `walk` stands on, not yet in the FIFO
        Tick enters_from = 1;    // fifo streams: first tick that `next` may enter
        int barrier = kNone;     // index of the one that it waits at
        bool done = false;
    };
    struct Barrier {
        int32_t id;
        std::vector<int> participants;
        size_t arrived = 0;
        Tick last_arrival = 0;
    };
    struct Entry {
        int source;
        int request;
        int32_t row, column;
        Tick entered;
    };

    bool is_fifo(int i) const { return i < streams() && streams_[i].window > 0; }
    int front() const;  // head at the FIFO's front, kNone where it is empty

    // controller.cpp
    void start();
    bool slice_is_over() const;
    void give(Slot slot);
    void put_in_order();
    void assess(int i);
    int needed(const Head &head) const;
    bool edge_allows(int need) const;
    void issue(int i);
    void changed() { ++epoch_; }
    bool allowed(Head &head);

    // replay.cpp
    Tick next_event();
    Tick next_of(int i);
    bool nobody_is_coming();

    // streams.cpp
    void ask(int i, int request, int32_t row, int32_t column, Tick visible);
    void final_issued(int i, Tick completed);
    void leave(int i, Item item, Tick arrival);
    void open_barriers();
    void enter_refreshes();
    void enter_fifo_streams();
    void pop_front();
    void show_front();
    bool some_stream_can_go();
    void look_for_deadlock();
    [[noreturn]] void deadlock();
    std::string plight(int i);

    const Standard standard_;
    std::unique_ptr<Operations> operations_;
    std::unique_ptr<Residency> residency_;
    const bool log_wanted_;
    const uint32_t ticks_per_look_;  // between two looks at the clock and at cancel
    std::atomic<bool> cancelled_{false};
    std::chrono::steady_clock::time_point slice_end_;
    bool replay_ = false;
    bool started_ = false, finished_ = false, failed_ = false;

    std::vector<Stream> streams_;
    std::vector<int> fifo_streams_;
    std::vector<Head> heads_;     // by stream, then that of a refresh at the FIFO's front
    std::vector<Barrier> barriers_;
    std::vector<std::pair<int, Tick>> opening_;  // barriers that open, and when
    std::deque<Entry> fifo_;
    std::vector<int> refreshes_;         // operations, by scope node in node order
    std::vector<int> queued_refreshes_;  // operations of those in the FIFO
    std::vector<int> order_;             // heads by rule 11
    bool order_stale_ = true;
    uint64_t epoch_ = 1;  // counts changes of banks, holds and the FIFO
    int holders_ = 0;
    int running_ = 0;        // streams that are not done
    bool issued_ = false;    // in this tick
    int idle_refreshes_ = 0;  // times that refreshes fell due since a stream could last go
    int last_row_operation_ = kNone;  // pairing (12)
    Tick last_row_end_ = 0;

    Tick end_ = 0;
    std::vector<int64_t> counts_;
    std::vector<LogRecord> log_;
};

}  // namespace ramulator_bridge
